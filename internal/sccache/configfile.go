package sccache

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// fileConfig is the part of sccache's configuration file that concerns S3.
type fileConfig struct {
	Path  string
	Cache struct {
		S3         *fileS3
		Disk       map[string]any
		Multilevel *struct{ Chain []string }
	}
}

// fileS3 is the table [cache.s3].
type fileS3 struct {
	Bucket        *string `toml:"bucket" json:"bucket"`
	NoCredentials *bool   `toml:"no_credentials" json:"no_credentials"`
	Region        string  `toml:"region" json:"region"`
	KeyPrefix     string  `toml:"key_prefix" json:"key_prefix"`
	Endpoint      string  `toml:"endpoint" json:"endpoint"`
	UseSSL        *bool   `toml:"use_ssl" json:"use_ssl"`
	VirtualHost   bool    `toml:"enable_virtual_host_style" json:"enable_virtual_host_style"`
	Mode          string  `toml:"rw_mode" json:"rw_mode"`
}

// keysSince lists the keys of [cache.s3] and the release, 0.N, that first knows
// them; sccache refuses a file that holds any other.
var keysSince = map[string]int{
	"bucket": 0, "region": 0, "key_prefix": 0, "no_credentials": 0, "endpoint": 0, "use_ssl": 0,
	"server_side_encryption": 0, "enable_virtual_host_style": 11, "rw_mode": 16,
	"server_side_encryption_aws_kms": 18, "server_side_encryption_kms_key_id": 18,
}

// readConfigFile reads path, TOML or, if its name ends so, JSON. A file that
// cannot be opened is no error: sccache goes on without it. One that it cannot
// make sense of keeps every sccache command from working.
func readConfigFile(path string, v Version) (fileConfig, error) {
	config := fileConfig{Path: path}
	data, err := os.ReadFile(path)
	if err != nil {
		return config, nil //nolint:nilerr // sccache does without a file it cannot read
	}
	var keys struct{ Cache struct{ S3 map[string]any } }
	decode := func(into any) error {
		if filepath.Ext(path) == ".json" {
			return json.Unmarshal(data, into)
		}
		return toml.Unmarshal(data, into)
	}
	if err := errors.Join(decode(&config), decode(&keys)); err != nil {
		if syntax, ok := errors.AsType[toml.ParseError](err); ok {
			return config, errConfig(path, fmt.Errorf("line %d: %s", syntax.Position.Line, syntax.Message))
		}
		return config, errConfig(path, errors.New("not of the form that sccache reads"))
	}
	for key := range keys.Cache.S3 {
		if first, known := keysSince[key]; !known || !v.AtLeast(first) {
			return config, errConfig(path, fmt.Errorf("[cache.s3]: sccache %s does not know the key %q", v, key))
		}
	}
	if s3 := config.Cache.S3; s3 != nil {
		switch {
		case s3.Bucket == nil:
			return config, errConfig(path, errors.New("[cache.s3] needs the key bucket"))
		case s3.NoCredentials == nil:
			return config, errConfig(path, errors.New("[cache.s3] needs the key no_credentials, false as a rule"))
		case !slices.Contains([]string{"", "READ_ONLY", "READ_WRITE"}, s3.Mode):
			return config, errConfig(path, errors.New("[cache.s3]: rw_mode is READ_ONLY or READ_WRITE"))
		}
	}
	return config, nil
}

// apply fills s from the file, if it configures S3.
func (f fileConfig) apply(s *Settings) {
	s3 := f.Cache.S3
	if s3 == nil || s3.Bucket == nil {
		return
	}
	s.Source, s.EndpointFrom = f.Path, f.Path
	s.Bucket, s.Region, s.Endpoint, s.KeyPrefix = *s3.Bucket, s3.Region, s3.Endpoint, strings.TrimRight(s3.KeyPrefix, "/")
	s.UseSSL, s.VirtualHost = s3.UseSSL, s3.VirtualHost
	s.NoCredentials = s3.NoCredentials != nil && *s3.NoCredentials
	s.ReadOnly = s3.Mode == "READ_ONLY"
}

func (f fileConfig) chain() []string {
	if f.Cache.Multilevel == nil {
		return nil
	}
	return levels(f.Cache.Multilevel.Chain)
}
