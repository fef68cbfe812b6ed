package doctor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/sccache"
)

const (
	checkKey  = ".sccache_check"
	checkBody = "Hello, World!"
	ownKey    = ".larder_doctor"
	ownSize   = 46 << 10 // bytes: the mean entry of a C++ project

	maxSkew  = 15 * time.Minute // what S3 allows
	someSkew = 5 * time.Minute
)

// clock sends the read check, to see the server's time; what else the answer
// says is for the checks below.
func (p *patient) clock(ctx context.Context) Finding {
	p.keys = p.config.Credentials(p.cfg.Environ, p.sccache.Version)
	if p.keys.Source == sccache.FromEndpoint {
		p.keys, p.keysErr = p.containerKeys(ctx, p.keys)
	}
	p.client = p.newClient()
	p.first, p.firstErr = p.object(ctx, http.MethodGet, checkKey, nil)
	if p.firstErr != nil {
		return failed("no HTTP answer: "+p.firstErr.Error(), "see that "+p.target.HostPort(p.ip)+" is the server's S3 port")
	}
	const fix = "set this machine's clock: timedatectl set-ntp true"
	date, err := http.ParseTime(p.first.header.Get("Date"))
	if err != nil {
		if p.first.code == "RequestTimeTooSkewed" {
			return failed("the server says that this machine's clock is wrong", fix)
		}
		return warn("the server tells no time", "compare the clocks of both machines by hand")
	}
	skew := p.cfg.Now().Sub(date)
	text := fmt.Sprintf("this machine's clock is %s %s the server's", skew.Abs().Round(time.Second), map[bool]string{true: "behind", false: "ahead of"}[skew < 0])
	switch {
	case p.first.code == "RequestTimeTooSkewed", skew.Abs() > maxSkew:
		return failed(text+"; S3 allows 15 minutes", fix)
	case skew.Abs() > someSkew:
		return warn(text+"; S3 allows 15 minutes", fix)
	}
	return ok(fmt.Sprintf("as the server's, to %s", max(skew.Abs().Round(time.Second), time.Second)))
}

// style sees whether S3 answers, and takes the bucket from where sccache puts it.
func (p *patient) style(ctx context.Context) Finding {
	if !p.first.isS3() {
		cause := fmt.Sprintf("what answers at %s is not S3: %s", p.target.Base, p.first)
		if server := p.first.header.Get("Server"); server != "" {
			cause += " from " + server
		}
		return failed(cause, "set "+p.endpointSource()+" to the address of the S3 API, not of a console or a website")
	}
	if !p.config.VirtualHost {
		return ok("path style: the bucket is in the path")
	}
	lost := p.first.code == "InvalidBucketName" || p.first.code == "NoSuchBucket" && p.first.bucket != p.config.Bucket
	if lost && p.worksInPath(ctx) {
		domain := strings.TrimPrefix(p.target.Host, p.config.Bucket+".")
		return failed(
			fmt.Sprintf("the server does not know the domain %s, and takes the path's first part for the bucket", domain),
			"set SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE=false, or start the server with --domain "+domain)
	}
	return ok("virtual-host style: the bucket is in the host name")
}

// worksInPath asks for the same object in path style.
func (p *patient) worksInPath(ctx context.Context) bool {
	other := *p
	other.config.VirtualHost = false
	target, err := other.config.Address()
	if err != nil {
		return false
	}
	r, err := p.send(ctx, http.MethodGet, target.Object(p.config.KeyPrefix, checkKey), nil)
	return err == nil && (r.status == http.StatusOK || r.code == "NoSuchKey")
}

// bucket sees whether it is there.
func (p *patient) bucket(context.Context) Finding {
	switch {
	case p.first.status == http.StatusOK, p.first.code == "NoSuchKey", p.first.status == http.StatusTooManyRequests, p.first.code == "SlowDown":
		return ok(p.config.Bucket + " is there")
	case p.first.code == "NoSuchBucket":
		cause := fmt.Sprintf("there is no bucket %q on the server; sccache does not start", p.config.Bucket)
		if p.trapped() {
			return failed(cause+fmt.Sprintf("; it asked %s, having deleted %q from the host that was meant", p.target.Host, p.config.Bucket+"."), p.untrap())
		}
		return failed(cause, "correct SCCACHE_BUCKET, or make the bucket on the server")
	case p.first.code == "InvalidBucketName":
		return failed(fmt.Sprintf("%q cannot be the name of a bucket", p.config.Bucket), "correct SCCACHE_BUCKET")
	case p.first.status == http.StatusMovedPermanently, p.first.code == "PermanentRedirect", p.first.status == http.StatusTemporaryRedirect:
		return failed("the bucket is at another address: "+p.first.header.Get("Location"), "set SCCACHE_ENDPOINT and SCCACHE_REGION to that of the bucket")
	}
	return skipped("the server does not say, for it answers " + p.first.String())
}

// refusals are the codes that mean that credentials are not accepted.
func refusals() []string {
	return []string{
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
		"AuthorizationHeaderMalformed", "InvalidClientTokenId", "UnrecognizedClientException", "RequestExpired",
	}
}

// credentials says which source wins, and whether the server accepts it.
func (p *patient) credentials(context.Context) Finding {
	k := p.keys
	switch k.Source {
	case sccache.NoSource:
		return failed("no credentials are set, and without any sccache does not start", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case sccache.FromMetadata, sccache.WebIdentity:
		return failed(
			"no keys are set, so that sccache asks Amazon for some ("+string(k.Source)+"), which this server does not know",
			"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case sccache.Unsigned:
		if p.first.status == http.StatusForbidden || p.first.status == http.StatusUnauthorized {
			return failed("requests are not signed (SCCACHE_S3_NO_CREDENTIALS), and the server refuses them", "unset SCCACHE_S3_NO_CREDENTIALS and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
		}
		return ok("none: requests are not signed, and the server accepts that")
	case sccache.FromEndpoint:
		if p.keysErr != nil {
			return failed("container credentials cannot be had: "+p.keysErr.Error(), "correct "+k.Detail)
		}
	case sccache.FromEnviron, sccache.FromProfile, sccache.FromMixture:
	}
	source := fmt.Sprintf("access key %s, from the %s (%s)", k.AccessKey, k.Source, k.Detail)
	if k.Source == sccache.FromMixture {
		source = "access key " + k.AccessKey + ", put together from several sources"
	}
	if slices.Contains(refusals(), p.first.code) {
		return p.refused(source)
	}
	if name, minor := p.ignoredSource(); name != "" {
		return warn(source+fmt.Sprintf("; %s is set, which sccache knows from 0.%d on", name, minor), "install sccache 0.18 or later")
	}
	return ok(source + ", is accepted")
}

// ignoredSource returns a source of credentials that is set for a newer sccache.
func (p *patient) ignoredSource() (name string, minor int) {
	for name, minor := range p.sccache.Version.Unread(p.cfg.Environ) {
		if strings.HasPrefix(name, "AWS_") {
			return name, minor
		}
	}
	return "", 0
}

// refused explains a refusal of the credentials.
func (p *patient) refused(source string) Finding {
	k := p.keys
	const again = "take both values again from 'larder env' on the server"
	tidy := strings.TrimSpace(k.Secret.Reveal()) == k.Secret.Reveal() && strings.TrimSpace(k.AccessKey) == k.AccessKey
	cause := source + ": the server answers " + p.first.code
	switch {
	case k.Token != "" && k.Source == sccache.FromMixture:
		return failed(
			source+fmt.Sprintf(": a session token left in %s is sent along, and does not belong to it (%s)", k.TokenFrom, p.first.code),
			"set AWS_SESSION_TOKEN to the empty text, or AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	case !tidy:
		return failed(cause+"; key or secret begins or ends with white space", "set both without white space around them")
	case strings.HasPrefix(p.first.code, "Expired"), p.first.code == "TokenRefreshRequired", p.first.code == "RequestExpired":
		return failed(source+": the session has expired", "get a new session, set its three values and restart the daemon")
	case k.Token != "":
		return failed(cause+"; a session token ("+k.TokenFrom+") is sent along: it is not one of this server's", "unset AWS_SESSION_TOKEN, or get a new session")
	case p.first.code == "InvalidAccessKeyId":
		return failed(source+": the server does not know that access key", again)
	case p.first.code == "SignatureDoesNotMatch":
		return failed(source+": the secret is wrong", again)
	}
	return failed(cause, again)
}

// readCheck judges the answer to the read check as sccache does when it starts.
func (p *patient) readCheck(context.Context) Finding {
	r := p.first
	switch {
	case r.status == http.StatusOK, r.code == "NoSuchKey":
		return ok("GET " + p.path(checkKey) + " answers " + r.String())
	case r.status == http.StatusTooManyRequests, r.code == "SlowDown":
		return warn("the server is asked too much: GET answers "+r.String(), "see the limits of the server, or a proxy before it")
	case r.status == http.StatusForbidden:
		return failed(
			fmt.Sprintf("may not read, or there is no bucket %q, which the server tells only those who may: GET %s answers %s%s", p.config.Bucket, p.path(checkKey), r, p.fatal()),
			"see that SCCACHE_BUCKET is right, and allow this user s3:GetObject on "+p.path("*"))
	case r.status >= 500:
		return failed("the server is in trouble: GET answers "+r.String()+p.fatal(), "look into the server's log")
	}
	return failed("GET "+p.path(checkKey)+" answers "+r.String()+p.fatal(), "look into the server's log")
}

// fatal says what follows for a daemon that starts now.
func (p *patient) fatal() string {
	if p.config.SkipCheck {
		return "; every read is a silent miss"
	}
	return "; sccache does not start"
}

// path names a key for people: bucket, prefix and key.
func (p *patient) path(key string) string {
	parts := append([]string{p.config.Bucket}, strings.FieldsFunc(p.config.KeyPrefix, func(r rune) bool { return r == '/' })...)
	return strings.Join(append(parts, key), "/")
}

// writeCheck writes what sccache writes when it starts. An error makes a daemon
// read-only for its whole life, and it says so nowhere.
func (p *patient) writeCheck(ctx context.Context) Finding {
	if p.config.ReadOnly {
		return skipped("told to write nothing (READ_ONLY)")
	}
	r, err := p.object(ctx, http.MethodPut, checkKey, []byte(checkBody))
	const follows = "; each daemon that starts now silently writes nothing"
	switch {
	case err != nil:
		return failed("PUT "+p.path(checkKey)+": "+err.Error()+follows, "look into the server's log")
	case r.status == http.StatusForbidden:
		return failed(
			"may not write: PUT "+p.path(checkKey)+" answers "+r.String()+follows,
			"allow this user s3:PutObject on "+p.path("*")+"; if it is meant to read only, set SCCACHE_S3_RW_MODE=READ_ONLY")
	case r.full():
		return failed("the server is full: PUT answers "+r.String()+follows, "make room on the server, or raise the bucket's quota")
	case r.status != http.StatusOK && r.status != http.StatusCreated:
		return failed("PUT "+p.path(checkKey)+" answers "+r.String()+follows, "look into the server's log")
	}
	return ok("PUT " + p.path(checkKey) + " answers " + r.String())
}

// full reports whether an answer says that there is no room.
func (r *reply) full() bool {
	switch r.code {
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded":
		return true
	}
	return r.status == http.StatusInsufficientStorage
}

// roundTrip writes, reads and removes an object of the size of an entry.
func (p *patient) roundTrip(ctx context.Context) Finding {
	if p.config.ReadOnly {
		return skipped("told to write nothing (READ_ONLY)")
	}
	body := make([]byte, ownSize)
	_, _ = rand.NewChaCha8([32]byte{46}).Read(body) // the same each time, so that it can be written over
	put, err := p.object(ctx, http.MethodPut, ownKey, body)
	switch {
	case err == nil && put.full():
		return failed("the server is full: PUT "+p.path(ownKey)+" answers "+put.String(), "make room on the server, or raise the bucket's quota")
	case err != nil || put.status != http.StatusOK && put.status != http.StatusCreated:
		return failed("cannot write "+p.path(ownKey)+": "+outcome(put, err), "allow this user s3:PutObject on "+p.path("*"))
	}
	p.wrote = put.took
	got, err := p.object(ctx, http.MethodGet, ownKey, nil)
	_, _ = p.object(ctx, http.MethodDelete, ownKey, nil) // sccache never deletes, and its user need not be allowed to
	switch {
	case err != nil || got.status != http.StatusOK:
		return failed("cannot read "+p.path(ownKey)+" after it was written: "+outcome(got, err), "allow this user s3:GetObject on "+p.path("*"))
	case !bytes.Equal(got.body, body):
		return failed("what was written is not what is read: something between here and the server changes it", "leave proxies out of the way")
	}
	return ok(fmt.Sprintf("%d KiB written in %s, read in %s", ownSize>>10, round(put.took), round(got.took)))
}

func outcome(r reply, err error) string {
	if err != nil {
		return err.Error()
	}
	return r.String()
}

// Slower than this costs builds more than a compile of a small file does.
const (
	slowRead  = 100 * time.Millisecond
	slowWrite = 500 * time.Millisecond
)

// latency measures reads on an open connection. Each compile waits for one, and
// after a miss for a write.
func (p *patient) latency(ctx context.Context) Finding {
	const n = 9
	var took []time.Duration
	for range n {
		r, err := p.object(ctx, http.MethodGet, checkKey, nil)
		if err != nil {
			return failed("a read after others failed: "+err.Error(), "look for a proxy or firewall that ends connections")
		}
		took = append(took, r.took)
	}
	slices.Sort(took)
	median := took[n/2]
	text := fmt.Sprintf("reads take %s (median of %d, worst %s)", round(median), n, round(took[n-1]))
	if p.wrote > slowWrite {
		return warn(text+fmt.Sprintf(", a write %s, for which each missed compile waits", round(p.wrote)), "see how busy the server's disk is")
	}
	if median > slowRead {
		return warn(text+": each compile waits for one", "put a server nearer to this machine, or a disk level before it: SCCACHE_MULTILEVEL_CHAIN=disk,s3 and SCCACHE_DIR")
	}
	return ok(text)
}

// failOpen says what a cache that is down does to builds.
func (p *patient) failOpen(context.Context) Finding {
	const down = "a cache that is down stops every build: "
	switch v := p.sccache.Version; {
	case p.config.SkipCheck:
		return ok("a cache that is down never stops a build: SCCACHE_SKIP_CACHE_CHECK is set")
	case v.Modern():
		return warn(down+"SCCACHE_SKIP_CACHE_CHECK is not set", "set SCCACHE_SKIP_CACHE_CHECK=1")
	default:
		return warn(down+fmt.Sprintf("release %s cannot start without its cache", v), "install sccache 0.18 or later, and set SCCACHE_SKIP_CACHE_CHECK=1")
	}
}
