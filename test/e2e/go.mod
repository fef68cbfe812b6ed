module github.com/larder-cache/larder/test/e2e

go 1.26.0
