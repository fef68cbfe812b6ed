package adminclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// aliasFile is mc's config.json, as far as it is read here.
type aliasFile struct {
	Aliases map[string]struct {
		URL       string `json:"url"`
		AccessKey string `json:"accessKey"`
		Secret    string `json:"secretKey"`
		Token     string `json:"sessionToken"`
	} `json:"aliases"`
}

// Alias returns the target that mc knows by a name: from the variable
// MC_HOST_<name>, or from config.json in dir, mc's own folder. Authorities in
// its certs/CAs are trusted as mc does. getenv looks a variable up.
func Alias(name, dir string, getenv func(string) string) (Target, error) {
	if host := getenv("MC_HOST_" + name); host != "" {
		return aliasVariable(name, host)
	}
	file := filepath.Join(dir, "config.json")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Target{}, fmt.Errorf("no alias %q: there is neither a variable MC_HOST_%s nor a file %s", name, name, file)
	}
	if err != nil {
		return Target{}, fmt.Errorf("read aliases: %w", err)
	}
	var aliases aliasFile
	if err := json.Unmarshal(content, &aliases); err != nil {
		return Target{}, fmt.Errorf("read aliases: %s is not the JSON that mc writes", file) // the cause may quote a secret
	}
	alias, ok := aliases.Aliases[name]
	if !ok {
		return Target{}, fmt.Errorf("no alias %q in %s; there are %s", name, file, strings.Join(slices.Sorted(maps.Keys(aliases.Aliases)), ", "))
	}
	target := Target{Key: sigv4.Key{ID: iam.AccessKeyID(alias.AccessKey), Secret: iam.Secret(alias.Secret), Token: alias.Token}}
	if target.Endpoint, err = ParseEndpoint(alias.URL); err != nil {
		return Target{}, fmt.Errorf("alias %q in %s: %w", name, file, err)
	}
	if target.Key.ID == "" || target.Key.Secret == "" {
		return Target{}, fmt.Errorf("alias %q in %s has no credentials", name, file)
	}
	authorities, err := filepath.Glob(filepath.Join(dir, "certs", "CAs", "*"))
	if err != nil || len(authorities) == 0 {
		return target, err
	}
	target.Authorities, err = Authorities(authorities...)
	return target, err
}

// aliasVariable parses "https://ACCESS:SECRET[:TOKEN]@HOST".
func aliasVariable(name, host string) (Target, error) {
	scheme, rest, ok := strings.Cut(host, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 {
		return Target{}, fmt.Errorf("the variable MC_HOST_%s is not https://ACCESS:SECRET@HOST", name)
	}
	parts := strings.SplitN(rest[:at], ":", 3)
	if len(parts) < 2 {
		return Target{}, fmt.Errorf("the variable MC_HOST_%s has no secret", name)
	}
	endpoint, err := ParseEndpoint(scheme + "://" + rest[at+1:])
	if err != nil {
		return Target{}, fmt.Errorf("the variable MC_HOST_%s: %w", name, err)
	}
	key := sigv4.Key{ID: iam.AccessKeyID(unescape(parts[0])), Secret: iam.Secret(unescape(parts[1]))}
	if len(parts) == 3 {
		key.Token = unescape(parts[2])
	}
	return Target{Endpoint: endpoint, Key: key}, nil
}

// unescape decodes what may be written with percents, as it is where it is not.
func unescape(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}
