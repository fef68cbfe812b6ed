package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/sccache"
)

// assumed are the rules to go by when no sccache is found.
var assumed = sccache.Version{Minor: 19}

// program finds sccache and asks for its version.
func (p *patient) program(ctx context.Context) Finding {
	found, err := sccache.FindProgram(ctx, p.cfg.Program, p.cfg.Environ)
	p.sccache = found
	switch {
	case errors.Is(err, exec.ErrNotFound):
		p.sccache.Version = assumed
		return failed(
			fmt.Sprintf("no program %q on the PATH; the checks below go by the rules of release %s", p.cfg.Program, assumed),
			"install sccache, or name it: larder doctor --sccache PATH")
	case err != nil:
		p.sccache.Version = assumed
		return failed(err.Error(), "name the right program: larder doctor --sccache PATH")
	}
	text := fmt.Sprintf("%s is release %s", found.Path, found.Version)
	switch found.Libc {
	case sccache.LibcStatic, sccache.LibcMusl:
		text += ", built with musl"
	case sccache.LibcGlibc:
		text += ", built with glibc"
	case sccache.LibcUnknown:
	}
	return ok(text)
}

// settings reads what sccache is told, and whether it amounts to S3.
func (p *patient) settings(context.Context) Finding {
	env, version := p.cfg.Environ, p.sccache.Version
	config, err := sccache.ReadSettings(env, version, p.cfg.GOOS)
	if p.cfg.Endpoint != "" {
		config.Endpoint, config.EndpointFrom, config.UseSSL = p.cfg.Endpoint, "--endpoint", nil
	}
	p.config = config
	switch {
	case errors.Is(err, sccache.ErrNoRegion):
		return failed("SCCACHE_REGION is not set, and without a region sccache does not start", "set SCCACHE_REGION=auto")
	case errors.Is(err, sccache.ErrNoDisk):
		return failed("sccache does not start: "+err.Error(), "set SCCACHE_DIR to a folder for the disk cache")
	case errors.Is(err, sccache.ErrNoBucket):
		return failed("sccache does not start: "+err.Error(), "set SCCACHE_BUCKET to the name of the bucket")
	case err != nil:
		return failed("sccache does not start: "+err.Error(), "correct that setting")
	case config.Bucket == "":
		return p.noBucket()
	case !config.UsesS3():
		return failed(
			"the levels of SCCACHE_MULTILEVEL_CHAIN are "+strings.Join(config.Chain, ", ")+", and S3 is none of them",
			"set SCCACHE_MULTILEVEL_CHAIN=disk,s3")
	}
	if name, minor := tooNew(version.Unread(env)); name != "" {
		return warn(
			fmt.Sprintf("%s is set, which sccache knows from 0.%d on: release %s takes no notice of it", name, minor, version),
			"install a newer sccache")
	}
	style := "path style"
	if config.VirtualHost {
		style = "virtual-host style"
	}
	text := "bucket " + config.Bucket + ", " + style + ", as said by the " + config.Source
	if config.Source != "environment" {
		text = "bucket " + config.Bucket + ", " + style + ", as said by " + config.Source
	}
	if len(p.cargo) > 0 {
		text += " with [env] of " + strings.Join(p.cargo, " and ")
	}
	if len(config.Chain) > 0 {
		text += "; levels " + strings.Join(config.Chain, ", ")
	}
	return ok(text)
}

// noBucket explains why S3 is not used at all.
func (p *patient) noBucket() Finding {
	const fix = "set SCCACHE_BUCKET to the name of the bucket ('larder env' on the server prints all that is needed)"
	var set []string
	for name := range p.cfg.Environ {
		if name == "SCCACHE_ENDPOINT" || name == "SCCACHE_REGION" || strings.HasPrefix(name, "SCCACHE_S3_") {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	cause := "SCCACHE_BUCKET is not set, and " + p.config.File + " says nothing of S3: sccache uses its local disk"
	if len(set) > 0 {
		cause = "SCCACHE_BUCKET is not set, so that " + strings.Join(set, ", ") + " has no effect: sccache uses its local disk"
	}
	return failed(cause, fix)
}

// tooNew returns the variable that a release ignores at a build's cost. The one
// that skips the check has a check of its own, and does no harm.
func tooNew(unread map[string]int) (name string, minor int) {
	for _, name := range slices.Sorted(maps.Keys(unread)) {
		if name != "SCCACHE_SKIP_CACHE_CHECK" && !strings.HasPrefix(name, "AWS_") {
			return name, unread[name]
		}
	}
	return "", 0
}

// restart is what makes a daemon read its settings.
const restart = "sccache --stop-server, in a shell with these settings; the next compile starts another"

// daemon asks whether what is running uses what is set.
func (p *patient) daemon(ctx context.Context) Finding {
	d := p.cfg.FindDaemon(ctx, p.cfg.Environ)
	if !d.Running {
		return ok("none runs at " + d.Address + ": the next compile starts one with these settings")
	}
	stats, err := p.sccache.Stats(ctx, p.cfg.Environ)
	if err != nil {
		return p.stranger(d, err)
	}
	if d.UID >= 0 && d.UID != os.Getuid() {
		return failed(
			fmt.Sprintf("the daemon at %s belongs to user %d and has that user's settings", d.Address, d.UID),
			"give each user a port: SCCACHE_SERVER_PORT=4227")
	}
	if f, bad := p.outdated(stats); bad {
		return f
	}
	if changed := p.changed(d.Environ); len(changed) > 0 {
		return failed(
			"the daemon was started with other values of "+strings.Join(changed, ", ")+", and keeps them",
			restart)
	}
	version, _ := sccache.ParseVersion(stats.Version)
	switch {
	case stats.Version != "" && version != p.sccache.Version:
		return warn(
			fmt.Sprintf("the daemon is release %s and this program %s: its rules are not quite those checked here", stats.Version, p.sccache.Version),
			restart)
	case stats.Mode == "ReadOnly" && !p.config.ReadOnly:
		return failed("the daemon writes nothing: its write check failed when it started", restart)
	case stats.Counts.WriteErrors > 0 && stats.Counts.Writes == 0 && !p.config.ReadOnly:
		return warn(
			fmt.Sprintf("the daemon counts %d write errors and not one write: its write check failed when it started", stats.Counts.WriteErrors),
			restart)
	}
	return ok(fmt.Sprintf("release %s at %s uses %s", stats.Version, d.Address, stats.Location))
}

// stranger is for a port that answers, but not as a daemon of this sccache.
func (p *patient) stranger(d sccache.Daemon, err error) Finding {
	who := "something"
	if d.Program != "" {
		who = d.Program
		if base := filepath.Base(who); strings.HasPrefix(base, "sccache") {
			return failed(
				fmt.Sprintf("the daemon at %s (process %d, %s) does not understand this sccache: it is another release", d.Address, d.PID, who),
				fmt.Sprintf("end it: kill %d", d.PID))
		}
		who += fmt.Sprintf(" (process %d)", d.PID)
	}
	return failed(
		fmt.Sprintf("%s holds %s and does not answer as a sccache daemon does: %v", who, d.Address, err),
		"let sccache use another port: SCCACHE_SERVER_PORT=4227")
}

// outdated compares what the daemon says of its cache with what is set now.
func (p *patient) outdated(stats sccache.Stats) (Finding, bool) {
	uses, level := stats.UsesS3()
	switch {
	case level && len(p.config.Chain) > 0, stats.Location == "":
		return Finding{}, false
	case !uses || level || len(p.config.Chain) > 0:
		return failed("the daemon uses "+stats.Location+", not S3: it was started before these settings", restart), true
	case stats.Bucket() != p.config.Bucket:
		return failed(fmt.Sprintf("the daemon uses bucket %q, not %q: it was started before these settings", stats.Bucket(), p.config.Bucket), restart), true
	}
	return Finding{}, false
}

// changed lists the variables that the daemon has other values of.
func (p *patient) changed(daemon sccache.Environ) (names []string) {
	if daemon == nil {
		return nil
	}
	for _, name := range sccache.Variables() {
		if daemon[name] != p.cfg.Environ[name] {
			names = append(names, name)
		}
	}
	return names
}

// address makes the URL that sccache makes.
func (p *patient) address(context.Context) Finding {
	target, err := p.config.Address()
	if err != nil {
		return failed("sccache does not start: "+err.Error(), "set SCCACHE_ENDPOINT to a URL such as http://HOST:9000")
	}
	p.target = target
	switch {
	case p.config.Endpoint == "":
		return warn("no endpoint is set, so that requests go to Amazon: "+target.Base.String(), "set SCCACHE_ENDPOINT to the server's URL")
	case p.trapped():
		return warn(
			fmt.Sprintf("sccache deletes %q from the front of %s, because it is the bucket's name: requests go to %s", p.config.Bucket+".", target.Told, target.Base),
			p.untrap())
	}
	if proxy := p.cfg.Environ.Proxy(target); proxy != "" {
		f := warn("requests to "+target.Base.String()+" go through the proxy that "+proxy+" names, behind which this doctor sees nothing", "set NO_PROXY="+target.Host)
		f.blind = true
		return f
	}
	return ok("requests go to " + target.Base.String())
}

// trapped reports whether the bucket's name was taken from a host that had it
// only once: told twice, it was meant.
func (p *patient) trapped() bool {
	label := "//" + p.config.Bucket + "."
	return p.target.Deleted && !p.target.VirtualHost && !strings.Contains(p.target.Told, label+p.config.Bucket+".")
}

func (p *patient) untrap() string {
	return "set SCCACHE_ENDPOINT=" + strings.Replace(p.target.Told, "//", "//"+p.config.Bucket+".", 1)
}
