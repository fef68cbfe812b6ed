package admin

import (
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Routes lists the routing table as "METHOD pattern".
func Routes() []string {
	list := make([]string, len(routes))
	for i, r := range routes {
		list[i] = r.method + " " + r.pattern
	}
	return list
}

// Matches reports whether a path below the version is on the route of that index.
func Matches(index int, method, path string) bool {
	row, _ := findRoute(method, path)
	return row == &routes[index]
}

// ReadArchive reads an archive of identities.
func ReadArchive(archive []byte) error {
	files, err := unpack(archive)
	if err != nil {
		return err
	}
	_, _, err = (&Protocol{identity: noIdentity{}}).identities(files)
	return err
}

// noIdentity knows nobody.
type noIdentity struct{ Identity }

func (noIdentity) RootName() iam.UserName { return "root" }

func (noIdentity) User(name iam.UserName) (iam.UserInfo, error) {
	return iam.UserInfo{}, fault.Missing(fault.User, string(name))
}

// SignedHS512 reports whether a token is signed with secret.
func SignedHS512(token string, secret iam.Secret) bool { return signedHS512(token, secret) }

// AnswerTo returns how an error is answered.
func AnswerTo(err error) (code string, status int) {
	a := lookup(err)
	return a.code, a.status
}

// Line is whose key derivations wait together.
func Line(who iam.Principal) string { return line(who) }
