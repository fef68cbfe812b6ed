package admin

import (
	"context"
	"runtime"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Status is what the server is and how it does.
type Status struct {
	Version      string
	Commit       string
	DeploymentID string
	Region       string
	Domain       string
	Endpoint     string // host and port that clients reach it by
	Started      time.Time
	Drives       []Drive
}

// Drive is one place that the server keeps content in.
type Drive struct {
	Path      string
	State     string // "ok", or what is wrong with it
	Total     uint64 // bytes
	Used      uint64 // bytes
	Available uint64 // bytes
}

// infoBody is the server as mc shows it.
type infoBody struct {
	Mode          string         `json:"mode"`
	Domain        []string       `json:"domain,omitempty"`
	Region        string         `json:"region,omitempty"`
	DeploymentID  string         `json:"deploymentID"`
	Buckets       countBody      `json:"buckets"`
	Objects       countBody      `json:"objects"`
	Versions      countBody      `json:"versions"`
	DeleteMarkers countBody      `json:"deletemarkers"`
	Usage         sizeBody       `json:"usage"`
	Services      map[string]any `json:"services"`
	Backend       map[string]any `json:"backend"`
	Servers       []serverBody   `json:"servers"`
	Pools         map[string]any `json:"pools,omitempty"`
}

type countBody struct {
	Count int64 `json:"count"`
}

type sizeBody struct {
	Size int64 `json:"size"`
}

type serverBody struct {
	State       string            `json:"state"`
	Endpoint    string            `json:"endpoint"`
	Uptime      int64             `json:"uptime"` // seconds
	Version     string            `json:"version"`
	Commit      string            `json:"commitID"`
	Network     map[string]string `json:"network"`
	Drives      []driveBody       `json:"drives"`
	PoolNumber  int               `json:"poolNumber"`
	PoolNumbers []int             `json:"poolNumbers"`
	Procs       int               `json:"go_max_procs"`
	CPUs        int               `json:"num_cpu"`
	Runtime     string            `json:"runtime_version"`
}

type driveBody struct {
	Endpoint  string `json:"endpoint"`
	Path      string `json:"path"`
	State     string `json:"state"`
	ID        string `json:"uuid"`
	Total     uint64 `json:"totalspace"`
	Used      uint64 `json:"usedspace"`
	Available uint64 `json:"availspace"`
	Local     bool   `json:"local"`
	Pool      int    `json:"pool_index"`
	Set       int    `json:"set_index"`
	Disk      int    `json:"disk_index"`
}

func newDrives(status *Status) []driveBody {
	drives := make([]driveBody, len(status.Drives))
	for i, d := range status.Drives {
		drives[i] = driveBody{
			Endpoint: d.Path, Path: d.Path, State: d.State, ID: status.DeploymentID + "-" + strconv.Itoa(i),
			Total: d.Total, Used: d.Used, Available: d.Available, Local: true, Disk: i,
		}
	}
	return drives
}

// online counts the drives that are fine and those that are not.
func (s *Status) online() (online, offline int) {
	for _, d := range s.Drives {
		if d.State == "ok" {
			online++
		} else {
			offline++
		}
	}
	return online, offline
}

// serverInfo describes the server, its drives and what it holds.
func (p *Protocol) serverInfo(in *input) (*edge.Operation, error) {
	return in.operation("admin:ServerInfo", func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		status, err := p.config.Status(ctx)
		if err != nil {
			return err
		}
		usage, err := p.usage(ctx)
		if err != nil {
			return err
		}
		return writeJSON(w, newInfo(&status, usage, call.Time))
	}), nil
}

func newInfo(status *Status, usage *usageReport, now time.Time) *infoBody {
	online, offline := status.online()
	body := &infoBody{
		Mode: "online", Region: status.Region, DeploymentID: status.DeploymentID,
		Buckets: countBody{int64(len(usage.buckets))}, Objects: countBody{usage.objects}, Versions: countBody{usage.objects},
		Usage:    sizeBody{usage.bytes},
		Services: map[string]any{"kms": map[string]any{}, "ldap": map[string]any{}},
		Backend: map[string]any{
			"backendType": "Erasure", "onlineDisks": online, "offlineDisks": offline, "standardSCParity": 0,
			"rrSCParity": 0, "totalSets": []int{1}, "totalDrivesPerSet": []int{len(status.Drives)},
		},
		Servers: []serverBody{{
			State: "online", Endpoint: status.Endpoint, Uptime: int64(now.Sub(status.Started).Seconds()),
			Version: status.Version, Commit: status.Commit, Network: map[string]string{status.Endpoint: "online"},
			Drives: newDrives(status), PoolNumber: 1, PoolNumbers: []int{1},
			Procs: runtime.GOMAXPROCS(0), CPUs: runtime.NumCPU(), Runtime: runtime.Version(),
		}},
	}
	if status.Domain != "" {
		body.Domain = []string{status.Domain}
	}
	var used, total uint64
	for _, d := range status.Drives {
		used, total = used+d.Used, total+d.Total
	}
	body.Pools = map[string]any{"0": map[string]any{"0": map[string]any{
		"id": 0, "rawUsage": used, "rawCapacity": total, "usage": usage.bytes, "objectsCount": usage.objects,
		"versionsCount": usage.objects, "deleteMarkersCount": 0, "healDisks": 0,
	}}}
	return body
}

// backendBody is how the clients describe where content is kept: one set of
// drives without parity.
type backendBody struct {
	Type         int
	TotalSets    []int
	DrivesPerSet []int
	Data         []int `json:"StandardSCData"`
	Reduced      []int `json:"RRSCData"`
	Parity       int   `json:"StandardSCParity"`
	LowParity    int   `json:"RRSCParity"`
}

func newBackend(status *Status) backendBody {
	drives := []int{len(status.Drives)}
	return backendBody{Type: 2, TotalSets: []int{1}, DrivesPerSet: drives, Data: drives, Reduced: drives}
}

// storageInfo describes the drives.
func (p *Protocol) storageInfo(in *input) (*edge.Operation, error) {
	return in.operation("admin:StorageInfo", func(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
		status, err := p.config.Status(ctx)
		if err != nil {
			return err
		}
		return writeJSON(w, struct {
			Disks   []driveBody
			Backend backendBody
		}{newDrives(&status), newBackend(&status)})
	}), nil
}

// accountBucket is a bucket as its user sees it.
type accountBucket struct {
	Name    string         `json:"name"`
	Size    int64          `json:"size"`
	Objects int64          `json:"objects"`
	Details map[string]any `json:"details"`
	Created time.Time      `json:"created"`
	Access  accessBody     `json:"access"`
}

type accessBody struct {
	Read  bool `json:"read"`
	Write bool `json:"write"`
}

// accountInfo tells a caller what he may, and which buckets he has access to.
func (p *Protocol) accountInfo(in *input) (*edge.Operation, error) {
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		who := call.Principal()
		kind := who.Kind
		if who.Derived() {
			kind = who.Parent
		}
		policy, err := p.rights(who.User, kind)
		if err != nil {
			return err
		}
		status, err := p.config.Status(ctx)
		if err != nil {
			return err
		}
		buckets, err := p.accessible(ctx, call)
		if err != nil {
			return err
		}
		return writeJSON(w, map[string]any{
			"AccountName": who.User, "Server": newBackend(&status), "Policy": policy, "Buckets": buckets,
		})
	}), nil
}

// accessible returns the buckets that the caller may read or write.
func (p *Protocol) accessible(ctx context.Context, call *edge.Call) ([]accountBucket, error) {
	buckets, err := p.store.ListBuckets(ctx)
	if err != nil {
		return nil, err
	}
	visible := []accountBucket{}
	for _, b := range buckets {
		may := func(action iam.Action, key string) bool {
			return call.Authorize(ctx, iam.Check{Action: action, Resource: iam.Resource{Bucket: string(b.Name), Key: key}}) == nil
		}
		access := accessBody{
			Read:  may("s3:ListBucket", "") || may("s3:GetObject", "*"),
			Write: may("s3:PutObject", "*"),
		}
		if !access.Read && !access.Write {
			continue
		}
		usage, err := p.store.Usage(ctx, b.Name)
		if err != nil {
			return nil, err
		}
		visible = append(visible, accountBucket{
			Name: string(b.Name), Size: usage.Bytes, Objects: usage.Objects, Created: b.Created, Access: access,
			Details: map[string]any{"versioning": false, "locking": false, "quota": newQuota(b.Config.Quota)},
		})
	}
	return visible, nil
}
