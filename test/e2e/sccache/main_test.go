package sccache_test

import (
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
