package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Setting is one thing that the server was configured with, in the terms of
// MinIO's clients: a key of a subsystem, of which there may be several by name.
type Setting struct {
	Subsystem string // "site", "identity_openid"
	Target    string // which one of the subsystem, "" for the only or first
	Key       string
	Value     string // of secrets, never the secret itself
	Help      string // one line
	Env       bool   // comes from a variable
}

const (
	configAction  = iam.Action("admin:ConfigUpdate")
	openIDSystem  = "identity_openid"
	defaultTarget = "_"
)

// subsystem returns the settings that a key such as "identity_openid" or
// "identity_openid:github" names; all for "".
func (p *Protocol) subsystem(key string) ([]Setting, error) {
	all := slices.Clone(p.config.Settings())
	slices.SortStableFunc(all, func(a, b Setting) int {
		return cmp.Or(cmp.Compare(a.Subsystem, b.Subsystem), cmp.Compare(a.Target, b.Target))
	})
	if key == "" {
		return all, nil
	}
	name, target, named := strings.Cut(key, ":")
	if target == defaultTarget {
		target = ""
	}
	found := slices.DeleteFunc(all, func(s Setting) bool {
		return s.Subsystem != name || named && s.Target != target
	})
	if len(found) == 0 {
		return nil, fault.Wrap(fault.NotFound, fault.Setting, key, errNoSetting)
	}
	return found, nil
}

const errNoSetting = settingError("there are no settings of that name; ask for the list without a name")

type settingError string

func (e settingError) Error() string { return string(e) }

// settingLines writes settings as lines "subsystem:target key=value key=value ".
func settingLines(settings []Setting) string {
	var b strings.Builder
	for i, s := range settings {
		if i == 0 || settings[i-1].Subsystem != s.Subsystem || settings[i-1].Target != s.Target {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(s.Subsystem)
			if s.Target != "" {
				b.WriteString(":" + s.Target)
			}
			b.WriteString(" ")
		}
		value := s.Value
		if strings.ContainsAny(value, " \t\"'") {
			value = strconv.Quote(value)
		}
		b.WriteString(s.Key + "=" + value + " ")
	}
	if len(settings) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// getSetting answers one subsystem's settings as text, encrypted.
func (p *Protocol) getSetting(in *input) (*edge.Operation, error) {
	key, err := need(in.query, "key")
	if err != nil {
		return nil, err
	}
	if key == "subnet" { // what mc asks for before it does anything of "mc support"
		return notOffered(noSupport)(p, in)
	}
	return in.operation(configAction, func(_ context.Context, w *edge.Writer, call *edge.Call) error {
		settings, err := p.subsystem(key)
		if errors.Is(err, fault.NotFound) && key == openIDSystem { // it exists, and is empty
			settings, err = []Setting{{Subsystem: openIDSystem, Key: "enable", Value: "off"}}, nil
		}
		if err != nil {
			return err
		}
		return sealBody(w, call, []byte(settingLines(settings)))
	}), nil
}

// exportSettings answers all settings as text, encrypted.
func (p *Protocol) exportSettings(in *input) (*edge.Operation, error) {
	return in.operation(configAction, func(_ context.Context, w *edge.Writer, call *edge.Call) error {
		settings, err := p.subsystem("")
		if err != nil {
			return err
		}
		return sealBody(w, call, []byte(settingLines(settings)))
	}), nil
}

// helpBody describes a subsystem's keys, or all subsystems.
type helpBody struct {
	Subsystem   string    `json:"subSys"`
	Description string    `json:"description"`
	Several     bool      `json:"multipleTargets"`
	Keys        []helpKey `json:"keysHelp"`
}

type helpKey struct {
	Key         string `json:"key"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Optional    bool   `json:"optional"`
	Several     bool   `json:"multipleTargets"`
}

// helpSetting describes what settings there are.
func (p *Protocol) helpSetting(in *input) (*edge.Operation, error) {
	name, only := in.query.Get("subSys"), in.query.Get("key")
	return in.operation(configAction, func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		settings, err := p.subsystem(name)
		if err != nil {
			return err
		}
		body := helpBody{Subsystem: name, Keys: []helpKey{}}
		if name == "" {
			body.Description = "settings of the server; they are set by its flags, variables or configuration file"
		}
		seen := make(map[string]bool)
		for _, s := range settings {
			key := helpKey{Key: s.Key, Type: "string", Description: s.Help, Optional: true}
			if name == "" {
				key = helpKey{Key: s.Subsystem, Description: s.Help, Several: s.Subsystem == openIDSystem}
			}
			if !seen[key.Key] && (only == "" || only == key.Key) {
				seen[key.Key] = true
				body.Keys = append(body.Keys, key)
			}
		}
		return writeJSON(w, body)
	}), nil
}

// changeSetting refuses to change settings: there is one place for each of them,
// and it is not the store.
func (p *Protocol) changeSetting(in *input) (*edge.Operation, error) {
	return in.operation(configAction, func(context.Context, *edge.Writer, *edge.Call) error {
		return unsupported("Settings are given to the server by its flags, its variables or its configuration file, and are not changed over the network.")
	}), nil
}

// idpEntry is one identity provider in a list.
type idpEntry struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// idpBody describes one identity provider.
type idpBody struct {
	Type string    `json:"type"`
	Name string    `json:"name"`
	Info []idpInfo `json:"info"`
}

type idpInfo struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	IsCfg bool   `json:"isCfg"`
	IsEnv bool   `json:"isEnv"`
}

// openIDs returns the issuers' settings by name.
func (p *Protocol) openIDs() []idpBody {
	settings, err := p.subsystem(openIDSystem)
	if err != nil {
		return nil // none is configured
	}
	var found []idpBody
	for _, s := range settings {
		name := s.Target
		if name == "" {
			name = defaultTarget
		}
		if len(found) == 0 || found[len(found)-1].Name != name {
			found = append(found, idpBody{Type: "openid", Name: name, Info: []idpInfo{}})
		}
		last := &found[len(found)-1]
		last.Info = append(last.Info, idpInfo{s.Key, s.Value, !s.Env, s.Env})
	}
	return found
}

// listIDPs lists the OpenID Connect issuers.
func (p *Protocol) listIDPs(in *input) (*edge.Operation, error) {
	if in.segments[0] != "openid" {
		return notOffered(noLDAP)(p, in)
	}
	return in.operation(configAction, func(_ context.Context, w *edge.Writer, call *edge.Call) error {
		list := []idpEntry{}
		for _, issuer := range p.openIDs() {
			list = append(list, idpEntry{issuer.Type, issuer.Name, true})
		}
		if len(list) == 0 {
			list = append(list, idpEntry{"openid", defaultTarget, false})
		}
		return sealJSON(w, call, list)
	}), nil
}

// idpInfoOf describes one OpenID Connect issuer.
func (p *Protocol) idpInfoOf(in *input) (*edge.Operation, error) {
	if in.segments[0] != "openid" {
		return notOffered(noLDAP)(p, in)
	}
	name := in.segments[1]
	return in.operation(configAction, func(_ context.Context, w *edge.Writer, call *edge.Call) error {
		for _, issuer := range p.openIDs() {
			if issuer.Name == name {
				return sealJSON(w, call, issuer)
			}
		}
		if name != defaultTarget {
			return fault.Missing(fault.Issuer, name)
		}
		return sealJSON(w, call, idpBody{Type: "openid", Name: name, Info: []idpInfo{}})
	}), nil
}

// changeIDP refuses to change issuers, as changeSetting does.
func (p *Protocol) changeIDP(in *input) (*edge.Operation, error) {
	if in.segments[0] != "openid" {
		return notOffered(noLDAP)(p, in)
	}
	return p.changeSetting(in)
}
