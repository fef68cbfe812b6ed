package iam

import "time"

// The bounds of a session's length. AWS's protocol knows none below 15 minutes;
// a client that renews by itself may want less. sccache renews two minutes before
// the end.
const (
	MinSession = 3 * time.Minute
	MaxSession = 365 * 24 * time.Hour
)

// SessionSpec is what to make a session of.
type SessionSpec struct {
	Duration time.Duration // MinSession to MaxSession; 0 means an hour
	Policy   []byte        // of the session; empty: all that the parent may. Compact, at most 2,048 bytes

	// Renew is how long after now the session may be renewed by its own token; 0
	// means never.
	Renew time.Duration
}

// SessionKey is a new session. Token goes with every request.
type SessionKey struct {
	AccessKey AccessKeyID
	Secret    Secret
	Token     string
	Expires   time.Time
	Parent    UserName
}

// SubjectInfo is whom an OIDC issuer vouches for: a person or a job.
type SubjectInfo struct {
	Name     UserName     `json:"name"` // "<issuer>=<sub>", which no user can be called
	Issuer   string       `json:"issuer"`
	Sub      string       `json:"sub"`
	Display  string       `json:"display,omitempty"`
	Enabled  bool         `json:"enabled"`
	Policies []PolicyName `json:"policies,omitempty"` // as mapped at the last login
	Seen     time.Time    `json:"seen"`               // the last login, within an hour
	Lapses   time.Time    `json:"lapses"`
}

// Login is what an issuer's token, already verified, says.
type Login struct {
	Issuer   string       // "iss"
	Sub      string       // "sub"
	Display  string       // for people to read: a name or address
	Policies []PolicyName // mapped from the claims; the unknown ones count as soon as they exist

	// Claims are for "jwt:" conditions; those that no condition can name
	// (KnownClaim) are left out. A claim inside another is "outer.inner".
	Claims map[string][]string
}
