package iam

// Evaluate decides a request.
//
//  1. Root's own key is allowed everything, so that no policy locks the
//     administrator out.
//  2. Any Deny denies: in the bucket's policy, in the credential's own policy, in
//     a policy of the user or his groups.
//  3. A credential with a policy of its own needs an Allow in it, whoever its
//     parent is.
//  4. An Allow of the bucket's policy, of the user or his groups allows; root's
//     derived credentials need none; nor does self-service.
//  5. Otherwise it is denied.
//
// Nobody anonymous lists buckets or administers, whatever a policy says.
func Evaluate(r Request, g Grants) Decision {
	if r.Principal.Kind == Root {
		return Decision{Allowed: true, Reason: "root is allowed everything"}
	}
	if r.Principal.Kind == Anonymous {
		g = Grants{}
		if id, ok := actions.ids[r.Check.Action]; r.Check.Action == actionListBuckets || ok && actions.services[id] != serviceS3 {
			return Decision{Reason: "never allowed without credentials"}
		}
	}
	d := evaluate(&r, &g)
	if !d.Allowed && !d.Denied && r.Check.Action == actionListBucketVersions {
		r.Check.Action = actionListBucket
		if fallback := evaluate(&r, &g); fallback.Allowed {
			return fallback
		}
	}
	return d
}

func evaluate(r *Request, g *Grants) Decision {
	id, ok := actions.ids[r.Check.Action]
	if !ok {
		return Decision{Reason: "unknown action"}
	}
	resource := r.Check.Resource.name()

	said, by := r.BucketPolicy.decide(r, id, resource)
	if said == denies {
		return decision(denies, by, "the bucket policy")
	}
	allowing, name := by, "the bucket policy"
	inline, by := g.Inline.decide(r, id, resource)
	if inline == denies {
		return decision(denies, by, inlineName)
	}
	for i := range g.Policies {
		p := &g.Policies[i]
		said, by := p.Policy.decide(r, id, resource)
		if said == denies {
			return decision(denies, by, "policy "+string(p.Name))
		}
		if said == allows && allowing == nil && !p.DenyOnly {
			allowing, name = by, "policy "+string(p.Name)
		}
	}
	switch {
	case g.Inline != nil && inline != allows:
		return Decision{Reason: "no statement of " + inlineName + " allows it"}
	case allowing != nil:
		return decision(allows, allowing, name)
	case r.Principal.Derived() && r.Principal.Parent == Root:
		return Decision{Allowed: true, Reason: "derives from root"}
	case r.selfService(id):
		return Decision{Allowed: true, Reason: "everybody may do this to himself"}
	}
	return Decision{Reason: "no policy allows it"}
}

const inlineName = "the credential's own policy"

func decision(e effect, by *statement, name string) Decision {
	if e == denies {
		return Decision{Denied: true, Reason: "denied by " + by.label + " of " + name}
	}
	return Decision{Allowed: true, Reason: "allowed by " + by.label + " of " + name}
}

// selfService reports whether the principal does to himself what everybody may.
// A derived credential does not change its parent's secret: who found one would
// own the parent. One that ends makes and changes no keys either: they would
// outlive it, and with them whatever found it in a build.
func (r *Request) selfService(id actionID) bool {
	action, ends := r.Check.Action, !r.Principal.Expires.IsZero()
	if action == actionCreateUser && r.Principal.Derived() || ends && (action == actionCreateServiceAccount || action == actionUpdateServiceAccount) {
		return false
	}
	source := r.Principal.source()
	return selfService.has(id) && r.Check.Target != "" && r.Check.Target == r.Principal.User && (source == User || source == Subject)
}

// name returns what statements' resources are matched against: "bucket",
// "bucket/key", or "" for the service.
func (r Resource) name() string {
	if r.Key == "" {
		return r.Bucket
	}
	return r.Bucket + "/" + r.Key
}
