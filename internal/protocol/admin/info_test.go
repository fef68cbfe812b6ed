package admin_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/protocol/admin"
)

func status(context.Context) (admin.Status, error) {
	return admin.Status{
		Version: "v1.2.3", DeploymentID: "deployment", Region: "us-east-1", Endpoint: "localhost:9000", Started: time.Now().Add(-time.Minute),
		Drives: []admin.Drive{{Path: "/data", State: "ok", Total: 1000, Used: 400, Available: 600}},
	}, nil
}

// TestInfo reads what mc's "admin info" prints.
func TestInfo(t *testing.T) {
	w := newWorld(t)
	w.bucket("sccache")
	var info struct {
		Mode    string
		Buckets struct{ Count int }
		Backend struct {
			BackendType  string
			OnlineDisks  int
			OfflineDisks int
		}
		Servers []struct {
			State   string
			Uptime  int
			Version string
			Drives  []struct{ TotalSpace, UsedSpace, AvailSpace int }
		}
	}
	if err := json.Unmarshal([]byte(w.must(request{"GET", "/minio/admin/v4/info?metrics=false&no-cache=false", "", false, root}).body), &info); err != nil {
		t.Fatal(err)
	}
	if info.Mode != "online" || info.Buckets.Count != 1 || info.Backend.OnlineDisks != 1 || len(info.Servers) != 1 {
		t.Fatalf("got %+v", info)
	}
	if s := info.Servers[0]; s.State != "online" || s.Uptime < 50 || s.Version != "v1.2.3" || s.Drives[0].AvailSpace != 600 {
		t.Errorf("server is %+v", s)
	}
}
