package main

// protocolDefects let requests through that must be refused.
func protocolDefects() []Defect {
	return []Defect{
		{
			Name: "signature not compared", Why: "any secret signs",
			File:    "internal/protocol/sigv4/verify.go",
			Old:     "return subtle.ConstantTimeCompare(s.buf[n:], want[:]) == 1, nil",
			New:     "return subtle.ConstantTimeCompare(s.buf[n:], want[:]) >= 0, nil",
			Package: "./internal/protocol/sigv4", Tests: "^Test",
		},
		{
			Name: "clock skew not checked", Why: "an old request is replayed",
			File:    "internal/protocol/sigv4/verify.go",
			Old:     "d > v.config.Skew || d < -v.config.Skew",
			New:     "d > v.config.Skew && d < -v.config.Skew",
			Package: "./internal/protocol/sigv4", Tests: "^Test",
		},
		{
			Name: "payload hash not compared", Why: "a body is changed on its way",
			File:    "internal/protocol/sigv4/body.go",
			Old:     "return subtle.ConstantTimeCompare(b.hash.Sum(sum[:0]), b.want[:]) == 1",
			New:     "return subtle.ConstantTimeCompare(b.hash.Sum(sum[:0]), b.want[:]) >= 0",
			Package: "./internal/protocol/sigv4", Tests: "^Test",
		},
		{
			Name: "chunk signature not compared", Why: "a chunk is changed on its way",
			File:    "internal/protocol/sigv4/chunked.go",
			Old:     "subtle.ConstantTimeCompare(want[:], signature[:]) != 1",
			New:     "subtle.ConstantTimeCompare(want[:], signature[:]) > 1",
			Package: "./internal/protocol/sigv4", Tests: "^Test",
		},
		{
			Name: "checks not authorised", Why: "everybody signed may do everything",
			File:    "internal/protocol/edge/pipeline.go",
			Old:     "for _, check := range checks {",
			New:     "for _, check := range checks[:0] {",
			Package: "./internal/protocol/edge", Tests: "^Test",
		},
		{
			Name: "deny of a bucket policy ignored", Why: "an explicit Deny does not bind",
			File:    "internal/iam/evaluate.go",
			Old:     "\tif said == denies {\n\t\treturn decision(denies, by, \"the bucket policy\")",
			New:     "\tif said == denies && false {\n\t\treturn decision(denies, by, \"the bucket policy\")",
			Package: "./internal/iam", Tests: "^Test",
		},
	}
}
