package identity

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

const (
	// seenPrecision is how exactly the last login is written down, so that a job
	// every minute does not write every minute.
	seenPrecision = time.Hour

	away       = 24 * time.Hour // after which a subject makes room for new ones
	maxSubject = 1024           // bytes of issuer and sub
)

// SubjectName is the name of a subject as a principal.
func SubjectName(issuer, sub string) iam.UserName { return iam.UserName(issuer + "=" + sub) }

func (s *Service) lapsed(r subjectRecord, now time.Time) bool {
	return now.After(r.Seen.Add(s.config.Lapse + seenPrecision))
}

func (s *Service) subject(name iam.UserName, r subjectRecord) iam.SubjectInfo {
	return iam.SubjectInfo{
		Name: name, Issuer: r.Issuer, Sub: r.Sub, Display: r.Display, Enabled: !r.Disabled, Policies: r.Policies,
		Seen: r.Seen, Lapses: r.Seen.Add(s.config.Lapse + seenPrecision),
	}
}

// Subjects returns all subjects that have not lapsed, by name.
func (s *Service) Subjects() []iam.SubjectInfo {
	doc, now := s.current.Load().doc, s.now()
	subjects := []iam.SubjectInfo{}
	for _, name := range slices.Sorted(maps.Keys(doc.Subjects)) {
		if r := doc.Subjects[name]; !s.lapsed(r, now) {
			subjects = append(subjects, s.subject(name, r))
		}
	}
	return subjects
}

// Subject returns one subject; it is NotFound of noun User.
func (s *Service) Subject(name iam.UserName) (iam.SubjectInfo, error) {
	record, ok := s.current.Load().doc.Subjects[name]
	if !ok || s.lapsed(record, s.now()) {
		return iam.SubjectInfo{}, fault.Missing(fault.User, string(name))
	}
	return s.subject(name, record), nil
}

// SubjectSession makes a session of a subject, whom it keeps with the policies
// that are mapped to it now. It is Denied of noun Token without any policy, or if
// one denies sts:AssumeRoleWithWebIdentity, and Unauthenticated of noun Token for
// a disabled subject.
func (s *Service) SubjectSession(ctx context.Context, by iam.Actor, login iam.Login, spec iam.SessionSpec) (iam.SessionKey, error) {
	name := SubjectName(login.Issuer, login.Sub)
	if spec.Duration == 0 {
		spec.Duration = DefaultSession // conditions look at it
	}
	switch {
	case login.Issuer == "" || login.Sub == "" || strings.Contains(login.Issuer, "=") || len(name) > maxSubject:
		return iam.SessionKey{}, fault.Wrap(fault.Invalid, fault.Token, "", errors.New("the token's issuer and subject make no name"))
	case len(login.Policies) == 0:
		return iam.SessionKey{}, fault.Wrap(fault.Denied, fault.Token, string(name), errors.New("no policy is mapped to the subject"))
	}
	record, err := s.seen(ctx, by, name, login)
	if err != nil {
		return iam.SessionKey{}, err
	}
	if record.Disabled {
		return iam.SessionKey{}, fault.Wrap(fault.Unauthenticated, fault.Token, string(name), errors.New("the subject is disabled"))
	}
	claims := knownClaims(login.Claims)
	duration := strconv.FormatInt(int64(spec.Duration/time.Second), 10)
	decision := iam.Evaluate(iam.Request{
		Principal: iam.Principal{Kind: iam.Session, Parent: iam.Subject, User: name, Claims: claims},
		Check:     iam.Check{Action: "sts:AssumeRoleWithWebIdentity"},
		Facts:     iam.Facts{Time: s.now(), SourceIP: by.From, S3: map[string][]string{"sts:DurationSeconds": {duration}}},
	}, iam.Grants{Policies: s.current.Load().holders[name].grants})
	if decision.Denied { // to hold a policy is enough otherwise
		return iam.SessionKey{}, fault.Wrap(fault.Denied, fault.Token, string(name), errors.New(decision.Reason))
	}
	return s.begin(token{Kind: iam.Subject, Parent: name, ParentID: record.ID, Claims: claims, Mapped: login.Policies}, spec)
}

// seen writes a login down, if there is something new about it.
func (s *Service) seen(ctx context.Context, by iam.Actor, name iam.UserName, login iam.Login) (subjectRecord, error) {
	policies, now := with(login.Policies), s.now()
	record, ok := s.current.Load().doc.Subjects[name]
	fresh := func(r subjectRecord) bool {
		return slices.Equal(r.Policies, policies) && r.Display == login.Display && now.Sub(r.Seen) < seenPrecision
	}
	if ok && (record.Disabled || fresh(record)) {
		return record, nil
	}
	err := s.change(ctx, by, func(d *document) (*iam.Change, error) {
		made := &iam.Change{Action: "subject.login", Target: string(name)}
		s.forgetLapsed(d, now)
		record, ok = d.Subjects[name]
		switch {
		case ok && (record.Disabled || fresh(record)):
			return nil, nil //nolint:nilnil // nothing changed
		case ok:
			made.Before = s.subject(name, record)
		case !s.makeRoom(d, now):
			return nil, fault.New(fault.Busy, fault.User, string(name))
		default:
			record = subjectRecord{Issuer: login.Issuer, Sub: login.Sub, ID: newID()}
		}
		if ok && slices.Equal(record.Policies, policies) {
			made.Action = "" // the trail is for changes, not for each login
		}
		record.Policies, record.Display, record.Seen, record.Updated = policies, login.Display, now, now
		d.Subjects[name] = record
		made.After = s.subject(name, record)
		return made, nil
	})
	return record, err
}

// forgetLapsed removes the subjects that lapsed, and their keys. Disabled ones
// stay: a login would make them anew otherwise.
func (s *Service) forgetLapsed(d *document, now time.Time) {
	for name, r := range d.Subjects {
		if s.lapsed(r, now) && !r.Disabled {
			delete(d.Subjects, name)
			d.removeAccounts(iam.Subject, name)
		}
	}
}

// makeRoom lets one subject more in, and reports whether it could. It forgets more
// than one, so that it has not to look again at each login: up to a sixteenth, of
// those that are away, longest first. Disabled ones stay, and who has keys.
func (s *Service) makeRoom(d *document, now time.Time) bool {
	if len(d.Subjects) < s.config.Subjects {
		return true
	}
	keep := map[iam.UserName]bool{}
	for _, account := range d.Accounts {
		keep[account.Parent] = keep[account.Parent] || account.Kind == iam.Subject
	}
	var idle []iam.UserName
	for name, r := range d.Subjects {
		if !r.Disabled && !keep[name] && now.Sub(r.Seen) > away {
			idle = append(idle, name)
		}
	}
	slices.SortFunc(idle, func(a, b iam.UserName) int { return d.Subjects[a].Seen.Compare(d.Subjects[b].Seen) })
	for _, name := range idle[:min(len(idle), 1+s.config.Subjects/16)] {
		delete(d.Subjects, name)
	}
	return len(d.Subjects) < s.config.Subjects
}

// SetSubjectEnabled says whether a subject and all that derives from it may sign
// in.
func (s *Service) SetSubjectEnabled(ctx context.Context, by iam.Actor, name iam.UserName, enabled bool) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, ok := d.Subjects[name]
		if !ok {
			return nil, fault.Missing(fault.User, string(name))
		}
		made := &iam.Change{Action: "subject.set", Target: string(name), Before: s.subject(name, record)}
		record.Disabled, record.Updated = !enabled, s.now()
		d.Subjects[name] = record
		made.After = s.subject(name, record)
		return made, nil
	})
}

// RemoveSubject forgets a subject and its keys; its sessions end. Its next login
// makes it anew: disable it to keep it out.
func (s *Service) RemoveSubject(ctx context.Context, by iam.Actor, name iam.UserName) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, ok := d.Subjects[name]
		if !ok {
			return nil, fault.Missing(fault.User, string(name))
		}
		delete(d.Subjects, name)
		d.removeAccounts(iam.Subject, name)
		return &iam.Change{Action: "subject.remove", Target: string(name), Before: s.subject(name, record)}, nil
	})
}
