package admin

import (
	"context"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// route is one row of the routing table.
type route struct {
	method  string
	pattern string // below the version; "{}" matches one segment, a last "*" any rest
	name    string // of the operation, without "admin."
	parse   func(*Protocol, *input) (*edge.Operation, error)
}

// input is what a parse function may look at: the request's parameters and the
// segments that "{}" matched.
type input struct {
	query    edge.Query
	segments []string
	name     string // of the operation, "admin.AddUser"
}

// operation starts an operation that needs one admin action.
func (in *input) operation(action iam.Action, handler edge.HandlerFunc) *edge.Operation {
	return &edge.Operation{Name: in.name, Checks: []iam.Check{{Action: action}}, Handler: handler}
}

// selfService starts an operation whose handler authorises: the caller's own
// things need less, or the resources are in the body.
func (in *input) selfService(handler edge.HandlerFunc) *edge.Operation {
	return &edge.Operation{Name: in.name, Auth: edge.Caller, Handler: handler}
}

const (
	prefixV3  = "/minio/admin/v3/"
	prefixV4  = "/minio/admin/v4/"
	prefixKMS = "/minio/kms/"
)

// route finds the row of a method and a path below the version.
func findRoute(method, path string) (*route, []string) {
	segments := strings.Split(path, "/")
	for i := range routes {
		if r := &routes[i]; r.method == method {
			if found, ok := match(r.pattern, segments); ok {
				return r, found
			}
		}
	}
	return nil, nil
}

// match compares segments with a pattern and returns what "{}" matched.
func match(pattern string, segments []string) (found []string, ok bool) {
	i := 0
	for want := range strings.SplitSeq(pattern, "/") {
		switch {
		case want == "*":
			return found, true
		case i == len(segments):
			return nil, false
		case want == "{}" && segments[i] != "":
			found = append(found, segments[i])
		case want != segments[i]:
			return nil, false
		}
		i++
	}
	return found, i == len(segments)
}

// notOffered makes the parse function of a route that answers 501 NotImplemented
// to every caller with credentials, without reading the body.
func notOffered(what string) func(*Protocol, *input) (*edge.Operation, error) {
	return func(_ *Protocol, in *input) (*edge.Operation, error) {
		return in.selfService(func(context.Context, *edge.Writer, *edge.Call) error {
			return unsupported("Larder does not offer this: %s.", what)
		}), nil
	}
}

var routes = []route{
	{"GET", "info", "ServerInfo", (*Protocol).serverInfo},
	{"GET", "storageinfo", "StorageInfo", (*Protocol).storageInfo},
	{"GET", "datausageinfo", "DataUsageInfo", (*Protocol).dataUsageInfo},
	{"PUT", "add-user", "AddUser", (*Protocol).addUser},
	{"PUT", "set-user-status", "SetUserStatus", (*Protocol).setUserStatus},
	{"DELETE", "remove-user", "RemoveUser", (*Protocol).removeUser},
	{"GET", "user-info", "UserInfo", (*Protocol).userInfo},
	{"GET", "list-users", "ListUsers", (*Protocol).listUsers},
	{"PUT", "update-group-members", "UpdateGroupMembers", (*Protocol).updateGroupMembers},
	{"PUT", "set-group-status", "SetGroupStatus", (*Protocol).setGroupStatus},
	{"GET", "group", "GroupInfo", (*Protocol).group},
	{"GET", "groups", "ListGroups", (*Protocol).groups},
	{"PUT", "add-canned-policy", "AddPolicy", (*Protocol).addPolicy},
	{"GET", "info-canned-policy", "PolicyInfo", (*Protocol).policyInfo},
	{"GET", "list-canned-policies", "ListPolicies", (*Protocol).listPolicies},
	{"DELETE", "remove-canned-policy", "RemovePolicy", (*Protocol).removePolicy},
	{"PUT", "set-user-or-group-policy", "SetPolicies", (*Protocol).setPolicies},
	{"POST", "idp/builtin/policy/{}", "AttachPolicies", (*Protocol).attachPolicies},
	{"GET", "idp/builtin/policy-entities", "PolicyEntities", (*Protocol).policyEntities},
	{"PUT", "add-service-account", "AddAccessKey", (*Protocol).addKey},
	{"POST", "update-service-account", "UpdateAccessKey", (*Protocol).updateKeyOf},
	{"DELETE", "delete-service-account", "DeleteAccessKey", (*Protocol).deleteKey},
	{"GET", "info-service-account", "AccessKeyInfo", (*Protocol).keyInfo},
	{"GET", "list-service-accounts", "ListAccessKeys", (*Protocol).listKeysOf},
	{"GET", "list-access-keys-bulk", "ListAccessKeys", (*Protocol).listKeysBulk},
	{"GET", "info-access-key", "AccessKeyInfo", (*Protocol).accessKeyInfo},
	{"GET", "temporary-account-info", "SessionInfo", (*Protocol).sessionInfo},

	{"GET", "export-iam", "ExportIAM", (*Protocol).exportIAM},
	{"PUT", "import-iam", "ImportIAM", (*Protocol).importIAM},
	{"PUT", "import-iam-v2", "ImportIAM", (*Protocol).importIAMReport},

	{"GET", "accountinfo", "AccountInfo", (*Protocol).accountInfo},
	{"PUT", "set-bucket-quota", "SetBucketQuota", (*Protocol).setBucketQuota},
	{"GET", "get-bucket-quota", "GetBucketQuota", (*Protocol).getBucketQuota},
	{"GET", "trace", "Trace", (*Protocol).trace},
	{"GET", "log", "Log", (*Protocol).log},
	{"POST", "service", "Service", (*Protocol).service},

	{"GET", "get-config-kv", "GetConfig", (*Protocol).getSetting},
	{"GET", "config", "GetConfig", (*Protocol).exportSettings},
	{"GET", "help-config-kv", "HelpConfig", (*Protocol).helpSetting},
	{"PUT", "set-config-kv", "SetConfig", (*Protocol).changeSetting},
	{"DELETE", "del-config-kv", "SetConfig", (*Protocol).changeSetting},
	{"PUT", "config", "SetConfig", (*Protocol).changeSetting},
	{"GET", "idp-config/{}", "ListIssuers", (*Protocol).listIDPs},
	{"GET", "idp-config/{}/{}", "IssuerInfo", (*Protocol).idpInfoOf},
	{"PUT", "idp-config/{}/{}", "SetIssuer", (*Protocol).changeIDP},
	{"POST", "idp-config/{}/{}", "SetIssuer", (*Protocol).changeIDP},
	{"DELETE", "idp-config/{}/{}", "SetIssuer", (*Protocol).changeIDP},

	{"GET", "larder/audit", "Audit", (*Protocol).audit},
	{"GET", "larder/subjects", "ListSubjects", (*Protocol).listSubjects},
	{"GET", "larder/explain", "Explain", (*Protocol).explain},
	{"POST", "revoke-tokens/{}", "RevokeTokens", (*Protocol).revokeTokens},
	{"GET", "export-bucket-metadata", "ExportBuckets", (*Protocol).exportBuckets},
	{"PUT", "import-bucket-metadata", "ImportBuckets", (*Protocol).importBuckets},

	{"POST", "update", "Update", notOffered("a server that replaces its own program; install the new version as the old one was installed")},
	{"GET", "inspect-data", "InspectData", notOffered(noErasure)},
	{"POST", "inspect-data", "InspectData", notOffered(noErasure)},
	{"GET", "metrics", "Metrics", notOffered("metrics as JSON; ask /minio/v2/metrics/cluster")},
	{"POST", "heal/*", "Heal", notOffered(noErasure)},
	{"POST", "background-heal/status", "HealStatus", notOffered(noErasure)},
	{"GET", "pools/list", "Pools", notOffered(noErasure)},
	{"GET", "pools/status", "Pools", notOffered(noErasure)},
	{"POST", "pools/*", "Pools", notOffered(noErasure)},
	{"POST", "rebalance/*", "Rebalance", notOffered(noErasure)},
	{"GET", "rebalance/*", "Rebalance", notOffered(noErasure)},
	{"POST", "profiling/start", "Profile", notOffered(noProfile)},
	{"GET", "profiling/download", "Profile", notOffered(noProfile)},
	{"POST", "profile", "Profile", notOffered(noProfile)},
	{"GET", "tier", "Tier", notOffered(noTier)},
	{"PUT", "tier", "Tier", notOffered(noTier)},
	{"GET", "tier/*", "Tier", notOffered(noTier)},
	{"POST", "tier/*", "Tier", notOffered(noTier)},
	{"DELETE", "tier/*", "Tier", notOffered(noTier)},
	{"GET", "tier-stats", "Tier", notOffered(noTier)},
	{"PUT", "site-replication/*", "SiteReplication", notOffered(noReplication)},
	{"GET", "site-replication/*", "SiteReplication", notOffered(noReplication)},
	{"GET", "list-remote-targets", "RemoteTarget", notOffered(noReplication)},
	{"PUT", "set-remote-target", "RemoteTarget", notOffered(noReplication)},
	{"DELETE", "remove-remote-target", "RemoteTarget", notOffered(noReplication)},
	{"GET", "top/locks", "TopLocks", notOffered("locks between servers, of which there are none")},
	{"POST", "speedtest", "Speedtest", notOffered(noSpeedtest)},
	{"POST", "speedtest/*", "Speedtest", notOffered(noSpeedtest)},
	{"POST", "kms/*", "KMS", notOffered(noKMS)},
	{"GET", "kms/*", "KMS", notOffered(noKMS)},
	{"PUT", "idp/ldap/*", "LDAP", notOffered(noLDAP)},
	{"GET", "idp/ldap/*", "LDAP", notOffered(noLDAP)},
	{"POST", "idp/ldap/*", "LDAP", notOffered(noLDAP)},
	{"POST", "start-job", "Batch", notOffered(noBatch)},
	{"GET", "list-jobs", "Batch", notOffered(noBatch)},
	{"GET", "describe-job", "Batch", notOffered(noBatch)},
	{"GET", "status-job", "Batch", notOffered(noBatch)},
	{"DELETE", "cancel-job", "Batch", notOffered(noBatch)},
	{"GET", "list-config-history-kv", "ConfigHistory", notOffered(noHistory)},
	{"DELETE", "clear-config-history-kv", "ConfigHistory", notOffered(noHistory)},
	{"PUT", "restore-config-history-kv", "ConfigHistory", notOffered(noHistory)},
}

// What is not offered, for the one who asked.
const (
	noErasure     = "erasure coding, pools and healing; a larder keeps its content on one disk or on another S3 store"
	noTier        = "tiers"
	noReplication = "replication between sites"
	noProfile     = "profiles over the network"
	noSpeedtest   = "a speed test on the server; 'larder bench' measures from a client"
	noKMS         = "a KMS behind this API"
	noLDAP        = "LDAP; use an OpenID Connect issuer"
	noBatch       = "batch jobs; clients copy and delete what they need to"
	noSupport     = "MinIO's support service; 'larder bench' and 'larder doctor' measure and diagnose"
	noHistory     = "a history of settings; 'larder admin audit' shows who changed what"
)
