package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// Info is what the server says about itself.
type Info struct {
	Mode         string `json:"mode"`
	Region       string `json:"region"`
	DeploymentID string `json:"deploymentID"`
	Buckets      struct {
		Count int64 `json:"count"`
	} `json:"buckets"`
	Objects struct {
		Count int64 `json:"count"`
	} `json:"objects"`
	Usage struct {
		Size int64 `json:"size"` // bytes
	} `json:"usage"`
	Servers []Server `json:"servers"`
}

// Server is one server of an Info.
type Server struct {
	State    string  `json:"state"`
	Endpoint string  `json:"endpoint"`
	Uptime   int64   `json:"uptime"` // seconds
	Version  string  `json:"version"`
	Drives   []Drive `json:"drives"`
}

// Drive is one drive of a Server.
type Drive struct {
	Path      string `json:"path"`
	State     string `json:"state"`
	Total     uint64 `json:"totalspace"` // bytes
	Used      uint64 `json:"usedspace"`  // bytes
	Available uint64 `json:"availspace"` // bytes
}

// Info asks the server what it is and how it does.
func (c *Client) Info(ctx context.Context) (info Info, err error) {
	err = c.get(ctx, "info", nil, &info)
	return info, err
}

// Bucket is a bucket and what it holds.
type Bucket struct {
	Name    object.BucketName `json:"name"`
	Created time.Time         `json:"created"`
	Size    int64             `json:"size"` // bytes
	Objects int64             `json:"objects"`
	Details struct {
		Quota struct {
			Size  int64 `json:"size"`
			Quota int64 `json:"quota"`
		} `json:"quota"`
	} `json:"details"`
}

// Quota returns how many bytes the bucket may hold, 0 for any.
func (b *Bucket) Quota() int64 { return max(b.Details.Quota.Size, b.Details.Quota.Quota) }

// Buckets returns the buckets that the caller may read or write.
func (c *Client) Buckets(ctx context.Context) ([]Bucket, error) {
	var account struct{ Buckets []Bucket }
	err := c.get(ctx, "accountinfo", nil, &account)
	return account.Buckets, err
}

// MakeBucket makes a bucket.
func (c *Client) MakeBucket(ctx context.Context, name object.BucketName) error {
	return c.put(ctx, "/"+string(name), nil, nil)
}

// RemoveBucket removes an empty bucket.
func (c *Client) RemoveBucket(ctx context.Context, name object.BucketName) error {
	return c.remove(ctx, "/"+string(name), nil)
}

// Empty reports whether a bucket holds no object.
func (c *Client) Empty(ctx context.Context, name object.BucketName) (bool, error) {
	body, err := c.do(ctx, call{method: http.MethodGet, path: "/" + string(name), query: url.Values{"list-type": {"2"}, "max-keys": {"1"}}})
	if err != nil {
		return false, err
	}
	var list struct{ Contents []struct{ Key string } }
	if err := xml.Unmarshal(body, &list); err != nil {
		return false, fmt.Errorf("the list of %s: %w", name, err)
	}
	return len(list.Contents) == 0, nil
}

// SetQuota limits what a bucket may hold to bytes, 0 for no limit.
func (c *Client) SetQuota(ctx context.Context, name object.BucketName, bytes int64) error {
	body := map[string]any{"quota": bytes, "size": bytes, "rate": 0, "requests": 0}
	if bytes > 0 {
		body["quotatype"] = "hard"
	}
	return c.put(ctx, "set-bucket-quota", url.Values{"bucket": {string(name)}}, encode(body))
}

// Quota returns how many bytes a bucket may hold, 0 for any.
func (c *Client) Quota(ctx context.Context, name object.BucketName) (int64, error) {
	var quota struct {
		Size  int64 `json:"size"`
		Quota int64 `json:"quota"`
	}
	err := c.get(ctx, "get-bucket-quota", url.Values{"bucket": {string(name)}}, &quota)
	return max(quota.Size, quota.Quota), err
}

// Audit returns the latest records of the audit trail, oldest first.
func (c *Client) Audit(ctx context.Context, limit int) ([]iam.Record, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	body, err := c.do(ctx, call{method: http.MethodGet, path: "larder/audit", query: query})
	if err != nil {
		return nil, err
	}
	var records []iam.Record
	for decoder := json.NewDecoder(bytes.NewReader(body)); decoder.More(); {
		var record iam.Record
		if err := decoder.Decode(&record); err != nil {
			return nil, fmt.Errorf("audit record %d: %w", len(records)+1, err)
		}
		records = append(records, record)
	}
	return records, nil
}

// Export writes an archive of all identities with their secrets to w.
func (c *Client) Export(ctx context.Context, w io.Writer) error {
	res, err := c.send(ctx, call{method: http.MethodGet, path: "export-iam"})
	if err != nil {
		return err
	}
	defer closeBody(res)
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	return nil
}

// Import sends an archive of identities and returns the server's report, JSON.
func (c *Client) Import(ctx context.Context, archive []byte) (json.RawMessage, error) {
	return c.do(ctx, call{method: http.MethodPut, path: "import-iam-v2", body: archive})
}

// TraceEntry is one request that the server served.
type TraceEntry struct {
	Time     time.Time     `json:"time"`
	Function string        `json:"funcname"`
	Path     string        `json:"path"`
	Duration time.Duration `json:"dur"`
	Error    string        `json:"error,omitempty"`
	HTTP     struct {
		Request struct {
			Method string `json:"method"`
			Client string `json:"client"`
		} `json:"request"`
		Response struct {
			Status int `json:"statuscode"`
		} `json:"response"`
		Stats struct {
			In  int64 `json:"inputbytes"`
			Out int64 `json:"outputbytes"`
		} `json:"stats"`
	} `json:"http"`
}

// Trace yields requests as they end, each as the server sent it and decoded,
// until the context or the server ends the stream.
func (c *Client) Trace(ctx context.Context, onlyErrors bool, threshold time.Duration) iter.Seq2[TraceEntry, error] {
	return func(yield func(TraceEntry, error) bool) {
		res, err := c.send(ctx, call{method: http.MethodGet, path: "trace", query: url.Values{
			"s3": {"true"}, "err": {strconv.FormatBool(onlyErrors)}, "threshold": {threshold.String()},
		}})
		if err != nil {
			yield(TraceEntry{}, err)
			return
		}
		defer closeBody(res)
		for decoder := json.NewDecoder(res.Body); ; { // it skips the spaces that keep the connection alive
			var entry TraceEntry
			err := decoder.Decode(&entry)
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return
			}
			if err != nil {
				err = fmt.Errorf("read trace: %w", err)
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}
