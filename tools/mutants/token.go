package main

// tokenDefects accept tokens and signatures that prove nothing.
func tokenDefects() []Defect {
	const signing, oidc, sts = "./internal/protocol/sigv4", "./internal/protocol/oidc", "./internal/protocol/sts"
	return []Defect{
		{
			Name: "unsigned headers believed", Why: "the holder of a presigned URL changes what it means",
			File: "internal/protocol/sigv4/verify.go",
			Old:  "len(name) < 6 || !strings.EqualFold", New: "len(name) < 600 || !strings.EqualFold",
			Package: signing, Tests: "^Test",
		},
		{
			Name: "half a signature is none", Why: "credentials in the query make the check be skipped",
			File: "internal/protocol/sigv4/verify.go",
			Old:  "\t\t\t\treturn true\n\t\t\t}\n\t\tcase name ==", New: "\t\t\t\treturn false\n\t\t\t}\n\t\tcase name ==",
			Package: signing, Tests: "^Test",
		},
		{
			Name: "presigned for ever", Why: "a URL outlives its expiry",
			File: "internal/protocol/sigv4/verify.go",
			Old:  "now.After(end)", New: "now.After(end.Add(maxPresign))",
			Package: signing, Tests: "^Test",
		},
		{
			Name: "path normalised for S3", Why: "the signed key is not the one that is read",
			File: "internal/protocol/sigv4/verify.go",
			Old:  "generic: c.scope.service != serviceS3, presigned", New: "generic: true, presigned",
			Package: signing, Tests: "^Test",
		},
		{
			Name: "chunk released unverified", Why: "forged bytes reach the store",
			File: "internal/protocol/sigv4/chunked.go",
			Old:  "*c.buf, c.off = (*c.buf)[:0], 0\n\t}\n\treturn err", New: "c.off = 0\n\t}\n\treturn nil",
			Package: signing, Tests: "^Test",
		},
		{
			Name: "trailer not awaited", Why: "the last bytes leave before the trailer was verified",
			File: "internal/protocol/sigv4/chunked.go",
			Old:  "if c.left == 0 && !c.done {", New: "if c.left < 0 && !c.done {",
			Package: signing, Tests: "^Test",
		},
		{
			Name: "old secret's key stays cached", Why: "a changed secret still signs",
			File: "internal/protocol/sigv4/keys.go",
			Old:  "k != nil && subtle.ConstantTimeCompare([]byte(k.secret), []byte(secret)) == 1", New: "k != nil && subtle.ConstantTimeCompare([]byte(k.secret), []byte(secret)) >= 0",
			Package: signing, Tests: "^TestChangedSecret$",
		},
		{
			Name: "audience not checked", Why: "a token made for another service is exchanged",
			File: "internal/protocol/oidc/verify.go",
			Old:  "if at < 0 {", New: "if at < -1 {",
			Package: oidc, Tests: "^Test",
		},
		{
			Name: "token without expiry accepted", Why: "it is good for ever",
			File: "internal/protocol/oidc/verify.go",
			Old:  "case expires.IsZero():", New: "case expires.IsZero() && now.IsZero():",
			Package: oidc, Tests: "^Test",
		},
		{
			Name: "keys fetched for every unknown id", Why: "anybody makes the server ask the issuer without end",
			File: "internal/protocol/oidc/keys.go",
			Old:  "if early {", New: "if early && s == nil {",
			Package: oidc, Tests: "^Test",
		},
		{
			Name: "issuer for everybody not narrowed", Why: "any repository of the world gets a session",
			File: "internal/protocol/oidc/config.go",
			Old:  "if world && !rule.narrows(narrow) {", New: "if world && len(narrow) == 0 {",
			Package: oidc, Tests: "^Test",
		},
		{
			Name: "keys fetched from loopback", Why: "an issuer sends the server to its own machine",
			File: "internal/protocol/oidc/fetch.go",
			Old:  "ip.IsLoopback() && !configured ||", New: "",
			Package: oidc, Tests: "^Test",
		},
		{
			Name: "token taken in the clear", Why: "whoever listens has it",
			File: "internal/protocol/sts/endpoint.go",
			Old:  "if !private(req) {", New: "if !private(req) && req == nil {",
			Package: sts, Tests: "^Test",
		},
		{
			Name: "endpoint takes any audience", Why: "a token for STS is taken",
			File: "internal/protocol/sts/endpoint.go",
			Old:  "e.service.tokens.VerifyFor(ctx, raw, e.service.config.Audience)", New: "e.service.tokens.Verify(ctx, raw)",
			Package: sts, Tests: "^Test",
		},
		{
			Name: "failures lock out", Why: "a stranger's guesses keep root out",
			File: "internal/protocol/sts/limit.go",
			Old:  "\t\treturn func() {}, nil\n\t}\n",
			New:  "\t\treturn func() {}, nil\n\t}\n\tif addr.IsValid() {\n\t\treturn nil, &Error{Code: Throttling}\n\t}\n",
			// The test of those who wait would wait for ever.
			Package: sts, Tests: "^TestThrottling$",
		},
	}
}
