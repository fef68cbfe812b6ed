package iam

import "maps"

// builtins are the policies that exist without being made. Their names are those
// that MinIO's users attach.
var builtins = parseBuiltins(map[PolicyName]string{
	"consoleAdmin": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["admin:*"]},
		{"Effect":"Allow","Action":["kms:*"]},
		{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}`,
	"diagnostics": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["admin:ServerTrace","admin:Profiling","admin:ConsoleLog","admin:ServerInfo",
			"admin:TopLocksInfo","admin:OBDInfo","admin:BandwidthMonitor","admin:Prometheus"]}]}`,
	"readonly": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:GetBucketLocation","s3:GetObject"],"Resource":["arn:aws:s3:::*"]}]}`,
	"readwrite": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}`,
	"writeonly": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::*"]}]}`,
})

func parseBuiltins(documents map[PolicyName]string) map[PolicyName]*Policy {
	policies := make(map[PolicyName]*Policy, len(documents))
	for name, document := range documents {
		p, err := ParsePolicy([]byte(document))
		if err != nil {
			panic("iam: built-in policy " + string(name) + ": " + err.Error())
		}
		policies[name] = p
	}
	return policies
}

// BuiltinPolicies returns the policies that every server has: consoleAdmin,
// diagnostics, readonly, readwrite and writeonly.
func BuiltinPolicies() map[PolicyName]*Policy { return maps.Clone(builtins) }
