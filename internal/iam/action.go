package iam

import (
	"fmt"
	"strings"
)

// service is the first half of an action's name. A statement is about one
// service.
type service uint8

const (
	serviceS3 service = iota
	serviceAdmin
	serviceKMS
	serviceSTS
)

var serviceNames = [...]string{serviceS3: "s3", serviceAdmin: "admin", serviceKMS: "kms", serviceSTS: "sts"}

// The actions, by service. A name that is not here is refused when a policy is
// written and denied when it is asked for.
const s3Actions = `
	AbortMultipartUpload BypassGovernanceRetention CreateBucket DeleteBucket DeleteBucketCors
	DeleteBucketPolicy DeleteObject DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging
	ForceDeleteBucket GetBucketCors GetBucketLocation GetBucketNotification
	GetBucketObjectLockConfiguration GetBucketPolicy GetBucketPolicyStatus GetBucketTagging
	GetBucketVersioning GetEncryptionConfiguration GetLifecycleConfiguration GetObject
	GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectVersion
	GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging
	GetReplicationConfiguration HeadBucket ListAllMyBuckets ListBucket ListBucketMultipartUploads
	ListBucketVersions ListMultipartUploadParts ListenBucketNotification ListenNotification
	PutBucketCors PutBucketNotification PutBucketObjectLockConfiguration PutBucketPolicy
	PutBucketTagging PutBucketVersioning PutEncryptionConfiguration PutLifecycleConfiguration PutObject
	PutObjectFanOut PutObjectLegalHold PutObjectRetention PutObjectTagging PutObjectVersionTagging
	PutReplicationConfiguration ReplicateDelete ReplicateObject ReplicateTags
	ResetBucketReplicationState RestoreObject
`

const adminActions = `
	AddUserToGroup AttachUserOrGroupPolicy BandwidthMonitor CancelBatchJob ClusterInfo ConfigUpdate
	ConsoleLog CreatePolicy CreateServiceAccount CreateUser DataUsageInfo Decommission DeletePolicy
	DeleteUser DescribeBatchJob DisableGroup DisableUser DriveInfo EnableGroup EnableUser
	ExportBucketMetadata ExportIAM ForceUnlock GenerateBatchJob GetBucketQuota GetBucketTarget GetGroup
	GetPolicy GetUser Heal ImportBucketMetadata ImportIAM InspectData KMSCreateKey KMSKeyStatus
	LicenseInfo ListBatchJobs ListGroups ListServiceAccounts ListTemporaryAccounts ListTier
	ListUserPolicies ListUsers OBDInfo PoolInfo PoolList Profiling Prometheus Rebalance
	RemoveServiceAccount RemoveUserFromGroup ReplicationDiff ServerInfo ServerTrace ServerUpdate
	ServiceFreeze ServiceRestart ServiceStop SetBucketQuota SetBucketTarget SetInfo SetTier
	SiteReplicationAdd SiteReplicationDisable SiteReplicationInfo SiteReplicationOperation
	SiteReplicationRemove SiteReplicationResync StartBatchJob StorageInfo TopLocksInfo
	UpdatePolicyAssociation UpdateServiceAccount
`

const kmsActions = `
	API AssignPolicy AuditLog CreateKey DeleteIdentity DeleteKey DeletePolicy DescribeIdentity
	DescribePolicy DescribeSelfIdentity ErrorLog GetPolicy ImportKey KeyStatus ListIdentities ListKeys
	ListPolicies Metrics SetPolicy Status Version
`

const stsActions = `AssumeRoleWithWebIdentity`

// The actions with a meaning of their own in this package.
const (
	actionListBuckets          Action = "s3:ListAllMyBuckets"
	actionListBucket           Action = "s3:ListBucket"
	actionListBucketVersions   Action = "s3:ListBucketVersions"
	actionGetObject            Action = "s3:GetObject"
	actionGetObjectVersion     Action = "s3:GetObjectVersion"
	actionCreateServiceAccount Action = "admin:CreateServiceAccount"
	actionUpdateServiceAccount Action = "admin:UpdateServiceAccount"
	actionCreateUser           Action = "admin:CreateUser" // also changes a secret, one's own among them
)

// actionID numbers the known actions.
type actionID uint8

// actionTable is every known action.
type actionTable struct {
	names    []Action
	services []service
	ids      map[Action]actionID
}

var actions = indexActions()

func indexActions() actionTable {
	table := actionTable{ids: map[Action]actionID{}}
	for svc, names := range [...]string{serviceS3: s3Actions, serviceAdmin: adminActions, serviceKMS: kmsActions, serviceSTS: stsActions} {
		for name := range strings.FieldsSeq(names) {
			action := Action(serviceNames[svc] + ":" + name)
			table.ids[action] = actionID(len(table.names))
			table.names = append(table.names, action)
			table.services = append(table.services, service(svc))
		}
	}
	return table
}

// Actions returns every action that a policy may name, ordered by service.
func Actions() []Action { return append([]Action(nil), actions.names...) }

// KnownAction reports whether an action is one that a policy may name.
func KnownAction(action Action) bool {
	_, ok := actions.ids[action]
	return ok
}

// selfService are the actions that everybody may do to himself, unless a policy
// denies it.
var selfService = setOf(
	actionCreateUser,
	"admin:GetUser",
	actionCreateServiceAccount,
	actionUpdateServiceAccount,
	"admin:RemoveServiceAccount",
	"admin:ListServiceAccounts",
)

// bucketLevel are the s3 actions whose resource is a bucket or the service, not
// an object.
var bucketLevel = setOf(
	"s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketCors", "s3:DeleteBucketPolicy", "s3:ForceDeleteBucket", "s3:GetBucketCors",
	"s3:GetBucketLocation", "s3:GetBucketNotification", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketPolicy",
	"s3:GetBucketPolicyStatus", "s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration",
	"s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration", "s3:HeadBucket", "s3:ListAllMyBuckets", "s3:ListBucket",
	"s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:ListenBucketNotification", "s3:ListenNotification",
	"s3:PutBucketCors", "s3:PutBucketNotification", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketPolicy",
	"s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
	"s3:PutReplicationConfiguration", "s3:ResetBucketReplicationState",
)

// actionSet is a set of known actions.
type actionSet [4]uint64

func (s *actionSet) add(id actionID)      { s[id/64] |= 1 << (id % 64) }
func (s *actionSet) has(id actionID) bool { return s[id/64]&(1<<(id%64)) != 0 }

func (s *actionSet) union(other actionSet) {
	for i := range s {
		s[i] |= other[i]
	}
}

func (s actionSet) intersects(other actionSet) bool {
	for i := range s {
		if s[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

func (s actionSet) empty() bool { return s == actionSet{} }

// setOf is for tables: an unknown name is a mistake in this package.
func setOf(names ...Action) actionSet {
	var set actionSet
	for _, name := range names {
		id, ok := actions.ids[name]
		if !ok {
			panic("iam: table names the unknown action " + string(name))
		}
		set.add(id)
	}
	return set
}

// serviceSet returns all actions of a service.
func serviceSet(svc service) actionSet {
	var set actionSet
	for id, of := range actions.services {
		if of == svc {
			set.add(actionID(id))
		}
	}
	return set
}

// matchActions returns the known actions that a text with wildcards names, and
// their service. "*" alone is every s3 action.
func matchActions(text string) (actionSet, service, error) {
	if text == "*" {
		text = "s3:*"
	}
	p, err := compilePattern(text, true)
	if err != nil || p.kind == variable {
		return actionSet{}, 0, ruleError("an action has no variables")
	}
	var set actionSet
	found, svc := false, serviceS3
	for id, name := range actions.names {
		if ok, _ := p.match(string(name), nil); !ok {
			continue
		}
		if found && actions.services[id] != svc {
			return actionSet{}, 0, fmt.Errorf("action %q names actions of several services: write one statement for each", text)
		}
		found, svc = true, actions.services[id]
		set.add(actionID(id))
	}
	if !found {
		return actionSet{}, 0, fmt.Errorf("unknown action %q%s", text, suggest(text, actionNames()))
	}
	return set, svc, nil
}

func actionNames() []string {
	names := make([]string, len(actions.names))
	for i, name := range actions.names {
		names[i] = string(name)
	}
	return names
}
