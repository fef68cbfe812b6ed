package admin

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// The bounds of an archive.
const (
	maxArchive     = 16 << 20 // bytes of the zip file
	maxArchiveFile = 16 << 20 // bytes of one file in it, unpacked
	maxArchiveAll  = 32 << 20 // bytes of all files in it, unpacked
	maxFiles       = 4096
)

// The files of an archive of identities, as MinIO writes them: each is one JSON
// object.
const (
	archivePolicies    = "iam-assets/policies.json"         // name → document
	archiveUsers       = "iam-assets/users.json"            // name → archiveUser
	archiveGroups      = "iam-assets/groups.json"           // name → archiveGroup
	archiveAccounts    = "iam-assets/svcaccts.json"         // access key → archiveAccount
	archiveUserHolds   = "iam-assets/user_mappings.json"    // name → archiveMapping
	archiveGroupHolds  = "iam-assets/group_mappings.json"   // name → archiveMapping
	archiveSessionHold = "iam-assets/stsuser_mappings.json" // of directories that are not here
)

type archiveUser struct {
	Secret string `json:"secretKey"`
	Status string `json:"status"`
}

type archiveGroup struct {
	Version int            `json:"version"`
	Status  string         `json:"status"`
	Members []iam.UserName `json:"members"`
	Updated time.Time      `json:"updatedAt"`
}

type archiveMapping struct {
	Version  int       `json:"version"`
	Policies string    `json:"policy"` // separated by commas
	Updated  time.Time `json:"updatedAt"`
}

type archiveAccount struct {
	Parent      iam.UserName    `json:"parent"`
	AccessKey   iam.AccessKeyID `json:"accessKey"`
	Secret      string          `json:"secretKey"`
	Groups      []iam.GroupName `json:"groups"`
	Claims      map[string]any  `json:"claims"`
	Policy      json.RawMessage `json:"sessionPolicy"`
	Status      string          `json:"status"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Expires     *time.Time      `json:"expiration,omitempty"`
}

// archiveFiles are the unpacked files of a zip by name.
type archiveFiles map[string][]byte

// unpack reads a zip within bounds: the sizes that its directory claims are
// not believed, and a file that occurs twice is refused.
func unpack(archive []byte) (archiveFiles, error) {
	// The reader makes something of every entry before it tells how many there are.
	if bytes.Count(archive, []byte("PK\x01\x02")) > maxFiles {
		return nil, badArchive("it holds more than %d files", maxFiles)
	}
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, badArchive("it is no zip file: %v", err)
	}
	if len(r.File) > maxFiles {
		return nil, badArchive("it holds more than %d files", maxFiles)
	}
	files, left := make(archiveFiles, len(r.File)), int64(maxArchiveAll)
	for _, file := range r.File {
		if file.FileInfo().IsDir() {
			continue
		}
		if _, twice := files[file.Name]; twice {
			return nil, badArchive("it holds %q twice", file.Name)
		}
		content, err := unpackFile(file, min(left, maxArchiveFile))
		if err != nil {
			return nil, err
		}
		left -= int64(len(content))
		files[file.Name] = content
	}
	return files, nil
}

func unpackFile(file *zip.File, limit int64) ([]byte, error) {
	r, err := file.Open()
	if err != nil {
		return nil, badArchive("%q: %v", file.Name, err)
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, badArchive("%q: %v", file.Name, err)
	}
	if int64(len(content)) > limit {
		return nil, fault.Wrap(fault.TooLarge, fault.None, "archive", fmt.Errorf("unpacked it has more than %d bytes", maxArchiveAll))
	}
	return content, nil
}

func badArchive(format string, args ...any) error {
	return invalid(fault.None, "archive", format, args...)
}

// decodeFile decodes one file of an archive into v; a file that is missing
// leaves v as it is.
func (files archiveFiles) decode(name string, v any) error {
	content, ok := files[name]
	if !ok {
		return nil
	}
	if err := decode(content, v); err != nil {
		return badArchive("%q: %v", name, err)
	}
	return nil
}

// identities reads an archive of identities. skipped are the access keys whose
// parent is neither in the archive nor known: users of directories (LDAP, OpenID
// Connect) that the archive does not hold.
func (p *Protocol) identities(files archiveFiles) (export iam.Export, skipped []iam.AccessKeyID, err error) {
	var (
		users      map[iam.UserName]archiveUser
		groups     map[iam.GroupName]archiveGroup
		accounts   map[iam.AccessKeyID]archiveAccount
		userHolds  map[iam.UserName]archiveMapping
		groupHolds map[iam.GroupName]archiveMapping
	)
	err = errors.Join(
		files.decode(archivePolicies, &export.Policies), files.decode(archiveUsers, &users),
		files.decode(archiveGroups, &groups), files.decode(archiveAccounts, &accounts),
		files.decode(archiveUserHolds, &userHolds), files.decode(archiveGroupHolds, &groupHolds),
	)
	if err != nil {
		return export, nil, err
	}
	if export.Users, err = importUsers(users, userHolds); err != nil {
		return export, nil, err
	}
	if export.Groups, err = importGroups(groups, groupHolds); err != nil {
		return export, nil, err
	}
	export.Accounts = make(map[iam.AccessKeyID]iam.ExportAccount, len(accounts))
	for _, key := range slices.Sorted(maps.Keys(accounts)) {
		account := accounts[key]
		_, imported := users[account.Parent]
		if !imported && !p.knows(account.Parent) {
			skipped = append(skipped, key)
			continue
		}
		export.Accounts[key] = p.importAccount(account)
	}
	return export, skipped, nil
}

// knows reports whether a user, or root, has that name here.
func (p *Protocol) knows(name iam.UserName) bool {
	if name == p.identity.RootName() {
		return true
	}
	_, err := p.identity.User(name)
	return err == nil
}

func importUsers(users map[iam.UserName]archiveUser, holds map[iam.UserName]archiveMapping) (map[iam.UserName]iam.ExportUser, error) {
	all := make(map[iam.UserName]iam.ExportUser, len(users))
	for name, user := range users {
		policies, err := splitPolicies(holds[name].Policies)
		if err != nil {
			return nil, badArchive("policies of user %q: %v", name, err)
		}
		all[name] = iam.ExportUser{Secret: iam.Secret(user.Secret), Enabled: user.Status != statusDisabled, Policies: policies}
	}
	return all, nil
}

func importGroups(groups map[iam.GroupName]archiveGroup, holds map[iam.GroupName]archiveMapping) (map[iam.GroupName]iam.ExportGroup, error) {
	all := make(map[iam.GroupName]iam.ExportGroup, len(groups))
	for name, group := range groups {
		policies, err := splitPolicies(holds[name].Policies)
		if err != nil {
			return nil, badArchive("policies of group %q: %v", name, err)
		}
		all[name] = iam.ExportGroup{Members: group.Members, Enabled: group.Status != statusDisabled, Policies: policies}
	}
	return all, nil
}

func (p *Protocol) importAccount(account archiveAccount) iam.ExportAccount {
	export := iam.ExportAccount{
		Root: account.Parent == p.identity.RootName(), Parent: account.Parent, Secret: iam.Secret(account.Secret),
		Policy: account.Policy, Enabled: account.Status != "off", Name: account.Name, Description: account.Description,
	}
	if account.Expires != nil {
		export.Expires = parseExpiry(*account.Expires)
	}
	return export
}

// pack writes identities as an archive. Without withRoot, root's own access
// keys are left out.
func (p *Protocol) pack(w io.Writer, export iam.Export, withRoot bool, now time.Time) error {
	users := make(map[iam.UserName]archiveUser, len(export.Users))
	userHolds := make(map[iam.UserName]archiveMapping)
	for name, user := range export.Users {
		users[name] = archiveUser{user.Secret.Reveal(), statusText(user.Enabled)}
		if len(user.Policies) > 0 {
			userHolds[name] = archiveMapping{1, joinPolicies(user.Policies), now}
		}
	}
	groups := make(map[iam.GroupName]archiveGroup, len(export.Groups))
	groupHolds := make(map[iam.GroupName]archiveMapping)
	for name, group := range export.Groups {
		groups[name] = archiveGroup{1, statusText(group.Enabled), notNil(group.Members), now}
		if len(group.Policies) > 0 {
			groupHolds[name] = archiveMapping{1, joinPolicies(group.Policies), now}
		}
	}
	accounts := make(map[iam.AccessKeyID]archiveAccount, len(export.Accounts))
	for key, account := range export.Accounts {
		if withRoot || !account.Root {
			accounts[key] = p.exportAccount(key, account)
		}
	}
	return writeFiles(w, map[string]any{
		archivePolicies: export.Policies, archiveUsers: users, archiveGroups: groups, archiveAccounts: accounts,
		archiveUserHolds: userHolds, archiveGroupHolds: groupHolds, archiveSessionHold: struct{}{},
	}, now)
}

func (p *Protocol) exportAccount(key iam.AccessKeyID, account iam.ExportAccount) archiveAccount {
	parent := account.Parent
	if account.Root {
		parent = p.identity.RootName()
	}
	policy := "inherited-policy"
	if len(account.Policy) > 0 {
		policy = "embedded-policy"
	}
	expires := wireExpiry(account.Expires)
	body := archiveAccount{
		Parent: parent, AccessKey: key, Secret: account.Secret.Reveal(), Policy: account.Policy, Status: "on",
		Claims: map[string]any{"accessKey": key, "parent": parent, "sa-policy": policy},
		Name:   account.Name, Description: account.Description, Expires: &expires,
	}
	if !account.Enabled {
		body.Status = "off"
	}
	return body
}

// writeFiles writes a zip of files, JSON but for xmlText, in order of their names.
func writeFiles(w io.Writer, files map[string]any, now time.Time) error {
	archive := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
		if text, ok := files[name].(xmlText); ok {
			_, err = file.Write(text)
		} else {
			err = json.NewEncoder(file).Encode(files[name])
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return archive.Close()
}
