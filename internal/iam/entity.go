package iam

import "time"

// Account is a user as administrators see him: without his secret.
type Account struct {
	Name     UserName
	Disabled bool
	Policies []PolicyName // attached to himself, in order of name
	Groups   []GroupName  // that he is a member of, in order of name
	Updated  time.Time
}

// Group is a group of users.
type Group struct {
	Name     GroupName
	Disabled bool       // its policies do not count
	Members  []UserName // in order of name
	Policies []PolicyName
	Updated  time.Time
}

// StoredPolicy is a policy document that has a name.
type StoredPolicy struct {
	Name    PolicyName
	Policy  *Policy
	Builtin bool // exists without being made, and cannot be changed
	Created time.Time
	Updated time.Time
}

// AccessKey is a service account: a key that derives from a user, a subject or
// root. Its secret is shown once, to the one who makes it.
type AccessKey struct {
	ID          AccessKeyID
	Parent      UserName
	ParentKind  Kind    // User, Subject or Root
	Policy      *Policy // narrows the parent's rights; nil inherits them
	Disabled    bool
	Name        string
	Description string
	Expires     time.Time // zero for never
	Created     time.Time
	Updated     time.Time
}

// AccessKeyChange changes an access key; what is nil stays as it is.
type AccessKeyChange struct {
	Secret      *Secret
	Policy      **Policy // a nil *Policy inherits the parent's rights
	Disabled    *bool
	Name        *string
	Description *string
	Expires     *time.Time // the zero time for never
}

// Holder names whom policies are attached to: a user or a group, never both.
type Holder struct {
	User  UserName
	Group GroupName
}
