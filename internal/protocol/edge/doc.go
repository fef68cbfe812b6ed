// Package edge is the one request pipeline of every protocol: S3, admin, STS
// and console. A request goes through these steps, in this order, and no
// handler can change the order or leave one out:
//
//  1. normalise: the path is decoded exactly once and never cleaned, the query
//     is parsed strictly, the source address is taken from a forwarding header
//     only if a trusted proxy sent it (Request);
//  2. the protocol says which operation it is and every resource it touches,
//     and parses all its inputs (Protocol.Route → Operation);
//  3. authenticate (Authenticator), reading none of the body;
//  4. authorise each (action, resource) (Authorizer);
//  5. serve (Operation.Handler). Only now is state looked at, and only now is
//     "100 Continue" sent, since that happens at the first read of the body.
//
// A Handler gets the operation's parsed inputs, which Route put into it, and a
// Call: who is calling, and the verified body. It has no way to the raw path,
// query or headers.
//
// Around these steps the package sets a request id, limits the body and the
// pace of reader and writer, recovers panics, turns errors into answers with the
// protocol's own table, and reports one Event per request.
//
// All types but Call and Writer, which belong to one request, are safe for
// concurrent use.
package edge
