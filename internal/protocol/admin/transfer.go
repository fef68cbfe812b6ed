package admin

import (
	"context"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// exportIAM answers an archive of all identities with their secrets. Whoever has
// it can sign as every user, so it needs every right to administer that one of them
// has; root's own keys are in it only for root.
func (p *Protocol) exportIAM(in *input) (*edge.Operation, error) {
	return in.operation("admin:ExportIAM", func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		export := p.identity.Export()
		if err := p.mayGive(ctx, call, held(&export)...); err != nil {
			return err
		}
		if err := p.identity.Record(ctx, actor(call), iam.Change{Action: "export", Target: "identities"}); err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Cache-Control", "no-store")
		return p.pack(w, export, ofRoot(call.Principal()), call.Time)
	}), nil
}

// held returns the policies that users and groups of an export hold.
func held(export *iam.Export) []iam.PolicyName {
	found := make(map[iam.PolicyName]bool)
	for _, user := range export.Users {
		for _, name := range user.Policies {
			found[name] = true
		}
	}
	for _, group := range export.Groups {
		for _, name := range group.Policies {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// mayImport authorises each change of an import as if it were made singly: to
// make what it holds, to give what it gives, and to come by what the users may
// whose secrets and keys it sets.
func (p *Protocol) mayImport(ctx context.Context, call *edge.Call, export *iam.Export) error {
	for _, action := range []iam.Action{
		"admin:CreateUser", "admin:EnableUser", "admin:DisableUser", "admin:CreatePolicy", attachAction, "admin:AddUserToGroup",
		"admin:EnableGroup", "admin:DisableGroup", createKey, updateKey,
	} {
		if err := call.Authorize(ctx, iam.Check{Action: action}); err != nil {
			return err
		}
	}
	for _, document := range export.Policies {
		if err := mayGiveDocument(ctx, call, document); err != nil {
			return err
		}
	}
	if err := p.mayGive(ctx, call, held(export)...); err != nil {
		return err
	}
	for name := range export.Users {
		if err := p.mayActFor(ctx, call, name, iam.User); err != nil {
			return err
		}
	}
	for _, account := range export.Accounts {
		if err := p.mayActFor(ctx, call, account.Parent, iam.User); !account.Root && err != nil {
			return err
		}
	}
	return nil
}

// importReport says what an import did, in the form that mc prints.
type importReport struct {
	Skipped importNames `json:"skipped"`
	Removed importNames `json:"removed"`
	Added   importNames `json:"added"`
	Failed  importNames `json:"failed"`
}

type importNames struct {
	Policies      []iam.PolicyName                     `json:"policies,omitempty"`
	Users         []iam.UserName                       `json:"users,omitempty"`
	Groups        []iam.GroupName                      `json:"groups,omitempty"`
	Accounts      []iam.AccessKeyID                    `json:"serviceAccounts,omitempty"`
	UserPolicies  []map[iam.UserName][]iam.PolicyName  `json:"userPolicies,omitempty"`
	GroupPolicies []map[iam.GroupName][]iam.PolicyName `json:"groupPolicies,omitempty"`
}

func namesOf(export *iam.Export) importNames {
	names := importNames{
		Policies: slices.Sorted(maps.Keys(export.Policies)),
		Users:    slices.Sorted(maps.Keys(export.Users)),
		Groups:   slices.Sorted(maps.Keys(export.Groups)),
		Accounts: slices.Sorted(maps.Keys(export.Accounts)),
	}
	for _, name := range names.Users {
		if policies := export.Users[name].Policies; len(policies) > 0 {
			names.UserPolicies = append(names.UserPolicies, map[iam.UserName][]iam.PolicyName{name: policies})
		}
	}
	for _, name := range names.Groups {
		if policies := export.Groups[name].Policies; len(policies) > 0 {
			names.GroupPolicies = append(names.GroupPolicies, map[iam.GroupName][]iam.PolicyName{name: policies})
		}
	}
	return names
}

// importIAM takes an archive of identities, as one change or none.
func (p *Protocol) importIAM(in *input) (*edge.Operation, error) { return p.importing(in, false) }

// importIAMReport is importIAM with an answer that says what was done.
func (p *Protocol) importIAMReport(in *input) (*edge.Operation, error) { return p.importing(in, true) }

func (p *Protocol) importing(in *input, report bool) (*edge.Operation, error) {
	op := in.operation("admin:ImportIAM", func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if !p.archives.TryLock() {
			return fault.New(fault.Busy, fault.None, "another archive is being read")
		}
		defer p.archives.Unlock()
		archive, err := readBody(call)
		if err != nil {
			return err
		}
		files, err := unpack(archive)
		if err != nil {
			return err
		}
		export, skipped, err := p.identities(files)
		if err != nil {
			return err
		}
		if err := p.mayImport(ctx, call, &export); err != nil {
			return err
		}
		if _, err := p.identity.Import(ctx, actor(call), export); err != nil {
			return err
		}
		if !report {
			return writeOK(w)
		}
		return writeJSON(w, importReport{Added: namesOf(&export), Skipped: importNames{Accounts: skipped}})
	})
	op.MaxBody = maxArchive
	return op, nil
}
