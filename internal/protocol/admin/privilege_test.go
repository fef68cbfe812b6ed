package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// TestKeyDerivationComesAfterAuthorisation lets no key be derived at all: who is
// not authorised must not notice.
func TestKeyDerivationComesAfterAuthorisation(t *testing.T) {
	w := newWorld(t)
	nobody := w.user("nobody")
	denied := w.user("denied", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["admin:CreateServiceAccount"]}]}`)
	closed := newWorldOn(t, w, func(c *admin.Config) { c.Gate = &envelope.Gate{Waiting: -1} })
	if got := closed.do(request{"PUT", "add-service-account", `{}`, true, denied}); got.status != http.StatusForbidden {
		t.Errorf("a key for oneself by one who may not: %d %s", got.status, got.body)
	}
	for _, r := range samples {
		if !r.sealed || strings.HasPrefix(r.path, "add-service-account") { // everybody may make keys for himself
			continue
		}
		r.key = nobody
		if got := closed.do(r); got.status == http.StatusServiceUnavailable || got.status < 400 {
			t.Errorf("%s %s by one who may not: %d %s", r.method, r.path, got.status, got.body)
		}
		if r.path != "update-service-account?accessKey=alice-key" {
			r.key = root
			if got := closed.do(r); got.status != http.StatusServiceUnavailable {
				t.Errorf("%s %s by root derives no key: %d %s", r.method, r.path, got.status, got.body)
			}
		}
	}
}

// account makes an access key and returns it.
func (w *world) account(caller sigv4.Key, body string) (sigv4.Key, answer) {
	w.t.Helper()
	got := w.do(request{"PUT", "add-service-account", body, true, caller})
	var made struct {
		Credentials struct{ AccessKey, SecretKey string }
	}
	_ = json.Unmarshal([]byte(got.body), &made) // a refusal has none
	return sigv4.Key{ID: iam.AccessKeyID(made.Credentials.AccessKey), Secret: iam.Secret(made.Credentials.SecretKey)}, got
}

// TestEscalation sends what advisories describe; nothing may change.
func TestEscalation(t *testing.T) {
	w := newWorld(t)
	w.user("victim")
	attacker := w.user("attacker", allowing("admin:CreateServiceAccount", "admin:UpdateServiceAccount", "admin:ListServiceAccounts", "admin:ImportIAM", "admin:ExportIAM"))
	plain := w.user("plain")
	narrow, _ := w.account(plain, `{"policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::sccache/*"]}]}}`)
	wide, _ := w.account(plain, `{}`)
	selfish, _ := w.account(plain, `{"policy":`+allowing("admin:CreateServiceAccount", "admin:UpdateServiceAccount")+`}`)
	narrowMaker, _ := w.account(w.user("maker", allowing("admin:CreateUser", "admin:CreateServiceAccount")), `{"policy":`+allowing("admin:CreateUser")+`}`)
	w.must(request{"PUT", "add-service-account", `{"accessKey":"root-key","secretKey":"root-key-secret"}`, true, root})
	session := w.session(plain, "")
	narrowSession := w.session(plain, allowing("admin:GetUser"))
	before := w.snapshot()

	tests := []struct {
		name string
		request
		status int
	}{
		{"a key for root, by one who may make keys for others", request{"PUT", "add-service-account", `{"targetUser":"minio"}`, true, attacker}, 403},
		{"root's key gets another secret", request{"POST", "update-service-account?accessKey=root-key", `{"newSecretKey":"attackers-secret"}`, true, attacker}, 403},
		{"a key for somebody else", request{"PUT", "add-service-account", `{"targetUser":"victim"}`, true, plain}, 403},
		{"a key for nobody known, by one who may not", request{"PUT", "add-service-account", `{"targetUser":"ghost"}`, true, plain}, 403},
		{"a narrow key makes a wide one", request{"PUT", "add-service-account", `{}`, true, narrow}, 403},
		{"a narrow key that may make keys makes a wide one for its parent", request{"PUT", "add-service-account", `{}`, true, selfish}, 403},
		{"a narrow key widens itself", request{"POST", "update-service-account?accessKey=" + string(selfish.ID), `{"newPolicy":{}}`, true, selfish}, 403},
		{"a narrow key takes over another of its parent", request{"POST", "update-service-account?accessKey=" + string(wide.ID), `{"newSecretKey":"attackers-secret"}`, true, selfish}, 403},
		{"a narrow key that may make users takes over its parent", request{"PUT", "add-user?accessKey=maker", `{"secretKey":"attackers-secret"}`, true, narrowMaker}, 403},
		{"a user in a state that there is not", request{"PUT", "add-user?accessKey=new", `{"secretKey":"new-secret","status":"dormant"}`, true, root}, 400},
		{"a narrow key reads its user", request{"GET", "user-info?accessKey=plain", "", false, narrow}, 403},
		{"a narrow session makes a key", request{"PUT", "add-service-account", `{}`, true, narrowSession}, 403},
		{"a narrow session sets the password", request{"PUT", "add-user?accessKey=plain", `{"secretKey":"attackers-secret"}`, true, narrowSession}, 403},
		{"a session sets the password", request{"PUT", "add-user?accessKey=plain", `{"secretKey":"attackers-secret"}`, true, session}, 403},
		{"an access key sets the password", request{"PUT", "add-user?accessKey=plain", `{"secretKey":"attackers-secret"}`, true, wide}, 403},
		{"a user named like root", request{"PUT", "add-user?accessKey=minio", `{"secretKey":"attackers-secret"}`, true, root}, 400},
		{"a key named like root", request{"PUT", "add-service-account", `{"accessKey":"minio","secretKey":"attackers-secret"}`, true, attacker}, 400},
		{"a key named like a user", request{"PUT", "add-service-account", `{"accessKey":"victim","secretKey":"attackers-secret"}`, true, attacker}, 400},
		{"a user named like a key", request{"PUT", "add-user?accessKey=root-key", `{"secretKey":"attackers-secret"}`, true, root}, 400},
		{"a policy for himself", request{"POST", "idp/builtin/policy/attach", `{"policies":["consoleAdmin"],"user":"plain"}`, true, plain}, 403},
		{"he enables himself", request{"PUT", "set-user-status?accessKey=attacker&status=enabled", "", false, attacker}, 403},
		{"an import by one who may not make users", request{"PUT", "import-iam", archive(t, map[string]string{"iam-assets/users.json": `{"new":{"secretKey":"new-secret"}}`}), false, attacker}, 403},
		{"a body sealed with another secret", request{"PUT", "add-user?accessKey=new", string(w.seal([]byte(`{"secretKey":"new-secret"}`), "other")), false, root}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.do(tt.request); got.status != tt.status {
				t.Errorf("got %d %s, want %d", got.status, got.body, tt.status)
			}
			if after := w.snapshot(); after != before {
				t.Errorf("identities changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// TestNoRightToAdministerIsGained gives each right to administer alone to
// somebody, who turns it into no other one: neither for himself nor for a friend,
// by no policy, group, secret, key or archive. What his right is for, he may.
func TestNoRightToAdministerIsGained(t *testing.T) {
	w := newWorld(t)
	chief := w.user("chief")
	w.must(request{"PUT", "set-user-or-group-policy?isGroup=false&policyName=consoleAdmin&userOrGroup=chief", "", false, root})
	w.must(request{"PUT", "add-service-account", `{"accessKey":"chief-key","secretKey":"chief-key-secret"}`, true, chief})
	w.must(request{"PUT", "add-service-account", `{"accessKey":"root-key","secretKey":"root-key-secret"}`, true, root})
	w.user("deputy")
	w.must(request{"PUT", "update-group-members", `{"group":"chiefs","members":["deputy"]}`, false, root})
	w.must(request{"PUT", "set-user-or-group-policy?isGroup=true&policyName=consoleAdmin&userOrGroup=chiefs", "", false, root})
	w.must(request{"PUT", "update-group-members", `{"group":"builders","members":[]}`, false, root})
	w.must(request{"PUT", "set-user-or-group-policy?isGroup=true&policyName=readwrite&userOrGroup=builders", "", false, root})
	w.must(request{"PUT", "add-canned-policy?name=consoleAdmin", allowing("admin:ServerInfo"), false, root})
	w.must(request{"PUT", "set-group-status?group=chiefs&status=disabled", "", false, root})
	subject, err := w.identity.SubjectSession(t.Context(), iam.Actor{}, iam.Login{Issuer: "https://i", Sub: "chief", Policies: []iam.PolicyName{"reader"}}, iam.SessionSpec{})
	if err != nil {
		t.Fatal(err)
	}
	w.must(request{"PUT", "add-canned-policy?name=reader", allowing("admin:ServerInfo"), false, root})
	friend := w.user("friend")
	const every = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["admin:Heal"]}]}`
	one := allowing("admin:ServerInfo")
	importing := allowing("admin:ImportIAM", "admin:CreateUser", "admin:EnableUser", "admin:DisableUser", "admin:CreatePolicy",
		"admin:AttachUserOrGroupPolicy", "admin:AddUserToGroup", "admin:EnableGroup", "admin:DisableGroup", "admin:CreateServiceAccount", "admin:UpdateServiceAccount")
	files := func(name, content string) string { return archive(t, map[string]string{"iam-assets/" + name: content}) }
	tests := map[string]struct {
		policy  string
		refused []request
		allowed []request
	}{
		"AttachUserOrGroupPolicy": {
			allowing("admin:AttachUserOrGroupPolicy"),
			[]request{
				{method: "POST", path: "idp/builtin/policy/attach", body: `{"policies":["readonly","consoleAdmin"],"user":"%"}`, sealed: true},
				{method: "POST", path: "idp/builtin/policy/attach", body: `{"policies":["diagnostics"],"group":"builders"}`, sealed: true},
				{method: "PUT", path: "set-user-or-group-policy?isGroup=false&policyName=consoleAdmin&userOrGroup=friend"},
			},
			[]request{{method: "POST", path: "idp/builtin/policy/attach", body: `{"policies":["readonly"],"user":"friend"}`, sealed: true}},
		},
		"CreatePolicy": {
			allowing("admin:CreatePolicy"),
			[]request{
				{method: "PUT", path: "add-canned-policy?name=readwrite", body: one},
				{method: "PUT", path: "add-canned-policy?name=new", body: every},
			},
			[]request{{method: "PUT", path: "add-canned-policy?name=new", body: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}`}},
		},
		"DeletePolicy": {
			allowing("admin:DeletePolicy"),
			[]request{{method: "DELETE", path: "remove-canned-policy?name=consoleAdmin"}},
			[]request{{method: "DELETE", path: "remove-canned-policy?name=none"}},
		},
		"AddUserToGroup": {
			allowing("admin:AddUserToGroup"),
			[]request{{method: "PUT", path: "update-group-members", body: `{"group":"chiefs","members":["%"]}`}},
			[]request{
				{method: "PUT", path: "update-group-members", body: `{"group":"builders","members":["friend"]}`},
				{method: "PUT", path: "update-group-members", body: `{"group":"fresh","members":["friend"]}`},
			},
		},
		"EnableGroup": {
			allowing("admin:EnableGroup"),
			[]request{{method: "PUT", path: "set-group-status?group=chiefs&status=enabled"}},
			[]request{{method: "PUT", path: "set-group-status?group=builders&status=enabled"}},
		},
		"CreateUser": {
			allowing("admin:CreateUser"),
			[]request{{method: "PUT", path: "add-user?accessKey=chief", body: `{"secretKey":"attackers-secret"}`, sealed: true}},
			[]request{
				{method: "PUT", path: "add-user?accessKey=fresh-user", body: `{"secretKey":"some-secret","status":"enabled"}`, sealed: true},
				{method: "PUT", path: "add-user?accessKey=friend", body: `{"secretKey":"friend-secret"}`, sealed: true},
			},
		},
		"CreateServiceAccount": {
			allowing("admin:CreateServiceAccount"),
			[]request{
				{method: "PUT", path: "add-service-account", body: `{"targetUser":"chief"}`, sealed: true},
				{method: "PUT", path: "add-service-account", body: `{"targetUser":"minio"}`, sealed: true},
				{method: "PUT", path: "add-service-account", body: `{"targetUser":"` + string(subject.Parent) + `"}`, sealed: true},
			},
			[]request{{method: "PUT", path: "add-service-account", body: `{"targetUser":"friend","accessKey":"friend-key"}`, sealed: true}},
		},
		"UpdateServiceAccount": {
			allowing("admin:UpdateServiceAccount"),
			[]request{
				{method: "POST", path: "update-service-account?accessKey=chief-key", body: `{"newSecretKey":"attackers-secret"}`, sealed: true},
				{method: "POST", path: "update-service-account?accessKey=root-key", body: `{"newSecretKey":"attackers-secret"}`, sealed: true},
			},
			[]request{{method: "POST", path: "update-service-account?accessKey=friends-own", body: `{"newName":"for builds"}`, sealed: true}},
		},
		"RemoveServiceAccount": {
			allowing("admin:RemoveServiceAccount"),
			[]request{{method: "DELETE", path: "delete-service-account?accessKey=root-key"}},
			[]request{{method: "DELETE", path: "delete-service-account?accessKey=friends-own"}},
		},
		"ExportIAM": {allowing("admin:ExportIAM"), []request{{method: "GET", path: "export-iam"}}, nil},
		"ImportIAM and all of the single rights": {
			importing,
			[]request{
				{method: "PUT", path: "import-iam", body: files("policies.json", `{"readwrite":`+one+`}`)},
				{method: "PUT", path: "import-iam", body: files("users.json", `{"chief":{"secretKey":"attackers-secret"}}`)},
				{method: "PUT", path: "import-iam", body: files("svcaccts.json", `{"new-key":{"parent":"chief","secretKey":"attackers-secret"}}`)},
				{method: "PUT", path: "import-iam", body: archive(t, map[string]string{
					"iam-assets/users.json": `{"fresh":{"secretKey":"attackers-secret"}}`, "iam-assets/user_mappings.json": `{"fresh":{"policy":"diagnostics"}}`,
				})},
				{method: "PUT", path: "import-iam", body: archive(t, map[string]string{
					"iam-assets/groups.json": `{"builders":{"members":["importiam"]}}`, "iam-assets/group_mappings.json": `{"builders":{"policy":"consoleAdmin"}}`,
				})},
			},
			[]request{{method: "PUT", path: "import-iam", body: files("users.json", `{"imported":{"secretKey":"imported-secret","status":"enabled"}}`)}},
		},
	}
	for right, tt := range tests {
		t.Run(right, func(t *testing.T) {
			name := strings.ToLower(strings.Fields(right)[0])
			key := w.user(name, tt.policy)
			w.must(request{"PUT", "add-service-account", `{"accessKey":"friends-own","secretKey":"friends-own-secret"}`, true, friend})
			before := w.snapshot()
			send := func(r request) answer {
				r.key = key
				if strings.HasPrefix(r.body, "{") {
					r.body = strings.ReplaceAll(r.body, "%", name)
				}
				return w.do(r)
			}
			for _, r := range tt.refused {
				if got := send(r); got.status != 403 {
					t.Errorf("%s %s %.80s: %d %s", r.method, r.path, r.body, got.status, got.body)
				}
				if after := w.snapshot(); after != before {
					t.Fatalf("identities changed from\n%s\nto\n%s", before, after)
				}
			}
			for _, r := range tt.allowed {
				if got := send(r); got.status >= 300 {
					t.Errorf("%s %s %.80s: %d %s", r.method, r.path, r.body, got.status, got.body)
				}
			}
			w.do(request{"DELETE", "delete-service-account?accessKey=friends-own", "", false, root}) // it may be gone
		})
	}
}

// session makes temporary credentials of a user's.
func (w *world) session(of sigv4.Key, policy string) sigv4.Key {
	w.t.Helper()
	credential, err := w.identity.Credential(w.t.Context(), of.ID, "")
	if err != nil {
		w.t.Fatal(err)
	}
	session, err := w.identity.AssumeRole(w.t.Context(), credential.Principal, iam.SessionSpec{Duration: time.Hour, Policy: []byte(policy)})
	if err != nil {
		w.t.Fatal(err)
	}
	return sigv4.Key{ID: session.AccessKey, Secret: session.Secret, Token: session.Token}
}

// snapshot is all identities with their secrets, as text.
func (w *world) snapshot() string {
	w.t.Helper()
	all := w.identity.Export()
	type open struct{ Secret, Rest any }
	text := map[string]any{"policies": all.Policies, "groups": all.Groups}
	for name, user := range all.Users {
		text["user "+string(name)] = open{user.Secret.Reveal(), user}
	}
	for key, account := range all.Accounts {
		text["key "+string(key)] = open{account.Secret.Reveal(), account}
	}
	b, err := json.Marshal(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// TestSelfService is what everybody may do to himself, unless a policy denies it.
func TestSelfService(t *testing.T) {
	w := newWorld(t)
	plain := w.user("plain")
	denied := w.user("denied", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["admin:CreateUser","admin:CreateServiceAccount","admin:GetUser"]}]}`)
	requests := []request{
		{"GET", "user-info?accessKey=%", "", false, sigv4.Key{}},
		{"PUT", "add-service-account", `{"accessKey":"%-key","secretKey":"some-secret"}`, true, sigv4.Key{}},
		{"PUT", "add-user?accessKey=%", `{"secretKey":"%-secret","status":"enabled"}`, true, sigv4.Key{}},
	}
	for _, r := range requests {
		for key, want := range map[sigv4.Key]bool{plain: true, denied: false} {
			r := r
			r.key, r.path, r.body = key, strings.ReplaceAll(r.path, "%", string(key.ID)), strings.ReplaceAll(r.body, "%", string(key.ID))
			if got := w.do(r); (got.status < 300) != want {
				t.Errorf("%s %s by %s: %d %s", r.method, r.path, key.ID, got.status, got.body)
			}
		}
	}
}

// TestKeysOfWhatEnds makes no lasting key with credentials that end, unless a
// policy allows it: what finds them in a build would keep the key.
func TestKeysOfWhatEnds(t *testing.T) {
	w := newWorld(t)
	plain, maker := w.user("plain"), w.user("maker", allowing("admin:CreateServiceAccount"))
	lasting, got := w.account(plain, `{}`)
	if got.status != 200 {
		t.Fatal(got.body)
	}
	ending, _ := w.account(plain, `{"expiration":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}`)
	for name, tt := range map[string]struct {
		key  sigv4.Key
		want int
	}{
		"a key that lasts": {lasting, 200}, "a key that expires": {ending, 403}, "a session": {w.session(plain, ""), 403},
		"a session that a policy allows it": {w.session(maker, ""), 200},
	} {
		if got := w.do(request{"PUT", "add-service-account", `{}`, true, tt.key}); got.status != tt.want {
			t.Errorf("%s makes a key: %d %s", name, got.status, got.body)
		}
		if tt.want == 403 {
			got := w.do(request{"POST", "update-service-account?accessKey=" + string(lasting.ID), `{"newSecretKey":"another-secret"}`, true, tt.key})
			if got.status != 403 && got.status != 404 {
				t.Errorf("%s changes a key: %d %s", name, got.status, got.body)
			}
		}
	}
}

// TestDurationCondition limits how long keys may last.
func TestDurationCondition(t *testing.T) {
	w := newWorld(t)
	user := w.user("limited", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Deny","Action":["admin:CreateServiceAccount"],"Condition":{"NumericGreaterThanIfExists":{"svc:DurationSeconds":"3600"}}}]}`)
	in := func(d time.Duration) string {
		return `{"expiration":"` + time.Now().Add(d).UTC().Format(time.RFC3339) + `"}`
	}
	if _, got := w.account(user, in(30*time.Minute)); got.status != 200 {
		t.Errorf("half an hour: %d %s", got.status, got.body)
	}
	if _, got := w.account(user, in(2*time.Hour)); got.status != 403 {
		t.Errorf("two hours: %d %s", got.status, got.body)
	}
}

// TestQuota honours what old and new clients send.
func TestQuota(t *testing.T) {
	w := newWorld(t)
	w.bucket("sccache")
	tests := []struct {
		name, body string
		status     int
		quota      int64
	}{
		{"old client", `{"quota":1000,"quotatype":"hard"}`, 200, 1000},
		{"new client", `{"quota":0,"size":2000,"rate":0,"requests":0,"quotatype":"hard"}`, 200, 2000},
		{"rate", `{"size":3000,"rate":7,"quotatype":"hard"}`, 501, 2000},
		{"soft", `{"size":3000,"quotatype":"fifo"}`, 501, 2000},
		{"too large", `{"size":18446744073709551615,"quotatype":"hard"}`, 400, 2000},
		{"negative", `{"size":-1}`, 400, 2000},
		{"no JSON", `quota`, 400, 2000},
		{"removed", `{"quota":0}`, 200, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.do(request{"PUT", "set-bucket-quota?bucket=sccache", tt.body, false, root}); got.status != tt.status {
				t.Errorf("got %d %s", got.status, got.body)
			}
			bucket, err := w.store.Bucket(t.Context(), "sccache")
			if err != nil || bucket.Config.Quota != tt.quota {
				t.Errorf("quota is %d, error %v", bucket.Config.Quota, err)
			}
		})
	}
	if got := w.do(request{"GET", "get-bucket-quota?bucket=absent", "", false, root}); got.code() != "NoSuchBucket" {
		t.Errorf("absent bucket: %d %s", got.status, got.body)
	}
}

// TestDerivationsOfOneWaitTogether counts all sessions and keys of a user as one,
// apart from his own key, which they must not keep out.
func TestDerivationsOfOneWaitTogether(t *testing.T) {
	session := iam.Principal{Kind: iam.Session, Parent: iam.User, User: "alice", AccessKey: "LT1"}
	same := []iam.Principal{
		{Kind: iam.Session, Parent: iam.User, User: "alice", AccessKey: "LT2"},
		{Kind: iam.ServiceAccount, Parent: iam.User, User: "alice", AccessKey: "alice-key"},
	}
	others := []iam.Principal{
		{Kind: iam.User, User: "alice", AccessKey: "alice"},
		{Kind: iam.Session, Parent: iam.User, User: "bob", AccessKey: "LT3"},
		{Kind: iam.Session, Parent: iam.Root, User: "alice", AccessKey: "LT4"},
		{Kind: iam.Root, User: "alice", AccessKey: "alice"},
		{Kind: iam.User, User: "derives from user alice", AccessKey: "derives from user alice"},
	}
	for _, p := range same {
		if admin.Line(p) != admin.Line(session) {
			t.Errorf("%+v waits apart", p)
		}
	}
	for _, p := range others {
		if admin.Line(p) == admin.Line(session) {
			t.Errorf("%+v waits with the sessions of alice", p)
		}
	}
}
