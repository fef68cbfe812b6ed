package main

// identityDefects let somebody have rights that nobody gave him.
func identityDefects() []Defect {
	const identity, admin = "./internal/engine/identity", "./internal/protocol/admin"
	return []Defect{
		{
			Name: "right to administer given", Why: "who may make users sets an administrator's secret",
			File: "internal/protocol/admin/give.go",
			Old:  "range policy.Administers() {", New: "range policy.Administers()[:0] {",
			Package: admin, Tests: "^TestNoRight",
		},
		{
			Name: "key frees itself", Why: "a key with a policy of its own takes over one without",
			File: "internal/engine/identity/accounts.go",
			Old:  "if frees && account.Parent == actor.User && s.bound(actor) {", New: "if frees && account.Parent == actor.User && s.bound(actor) && actor.User == \"\" {",
			Package: identity, Tests: "^Test",
		},
		{
			Name: "disabled group counts", Why: "disabling a group takes nothing from its members",
			File: "internal/engine/identity/state.go",
			Old:  "!group.Disabled {", New: "name != \"\" {",
			Package: identity, Tests: "^Test",
		},
		{
			Name: "disabled parent forgotten", Why: "keys of a disabled user go on",
			File: "internal/engine/identity/credential.go",
			Old:  "if user, ok := st.doc.Users[a.Parent]; ok && !user.Disabled {", New: "if _, ok := st.doc.Users[a.Parent]; ok {",
			Package: identity, Tests: "^Test",
		},
		{
			Name: "key derived before authorisation", Why: "anybody with a key makes the server spend 64 MiB",
			File: "internal/protocol/admin/keys.go",
			Old:  "if err := mayEver(ctx, call, iam.Check{Action: createKey, Target: own}); err != nil {", New: "if err := error(nil); err != nil {",
			Package: admin, Tests: "^TestKeyDerivation",
		},
	}
}
