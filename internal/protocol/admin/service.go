package admin

import (
	"context"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// serviceActions are the actions that each service command needs.
var serviceActions = map[string]iam.Action{
	"restart":  "admin:ServiceRestart",
	"stop":     "admin:ServiceStop",
	"freeze":   "admin:ServiceFreeze",
	"unfreeze": "admin:ServiceFreeze",
}

// service refuses to restart or stop the server: what started it also stops it,
// and would start it again behind the back of this request.
func (p *Protocol) service(in *input) (*edge.Operation, error) {
	command := in.query.Get("action")
	action, ok := serviceActions[command]
	if !ok {
		return nil, invalid(fault.None, "", "no service action %q", command)
	}
	return in.operation(action, func(context.Context, *edge.Writer, *edge.Call) error {
		return unsupported("A larder is restarted and stopped by what started it (systemd, Kubernetes, a container's runtime), not over the network.")
	}), nil
}
