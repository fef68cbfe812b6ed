package sccache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServerTimeout is how long one name server has for one question.
const nameServerTimeout = 5 * time.Second

// query asks the servers in order for the addresses of a full name. No address
// and no error means that the name is not there; an error, that no server
// answered.
func (r *Resolver) query(ctx context.Context, servers []string, name string) ([]netip.Addr, error) {
	full, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, nil //nolint:nilerr // what is no name is not there
	}
	var failed error
	for _, server := range servers {
		var addrs []netip.Addr
		failed = nil
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			found, err := r.ask(ctx, server, dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET})
			failed = errors.Join(failed, err)
			addrs = append(addrs, found...)
		}
		if len(addrs) > 0 || failed == nil {
			return sorted(addrs), nil
		}
	}
	return nil, failed
}

// ask puts one question to one server, over UDP and, if the answer is cut, TCP.
func (r *Resolver) ask(ctx context.Context, server string, q dnsmessage.Question) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, nameServerTimeout)
	defer cancel()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{q},
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack a question: %w", err)
	}
	for _, network := range []string{"udp", "tcp"} {
		answer, err := r.exchange(ctx, network, net.JoinHostPort(server, "53"), packed)
		if err != nil {
			return nil, err
		}
		var got dnsmessage.Message
		switch err := got.Unpack(answer); {
		case err != nil:
			return nil, fmt.Errorf("unpack an answer: %w", err)
		case got.ID != m.ID:
			return nil, errors.New("the answer is to another question")
		case got.Truncated && network == "udp":
			continue
		case got.RCode == dnsmessage.RCodeNameError:
			return nil, nil
		case got.RCode != dnsmessage.RCodeSuccess:
			return nil, fmt.Errorf("the name server answers %s", got.RCode)
		}
		return addresses(got.Answers), nil
	}
	return nil, errors.New("the answer is cut")
}

func addresses(answers []dnsmessage.Resource) (addrs []netip.Addr) {
	for _, answer := range answers {
		switch body := answer.Body.(type) {
		case *dnsmessage.AResource:
			addrs = append(addrs, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			addrs = append(addrs, netip.AddrFrom16(body.AAAA))
		}
	}
	return addrs
}

// exchange sends one message and returns the answer. Over TCP each message
// follows its length in two bytes, RFC 1035, 4.2.2.
func (r *Resolver) exchange(ctx context.Context, network, address string, message []byte) (answer []byte, err error) {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if network == "udp" {
		if _, err := conn.Write(message); err != nil {
			return nil, err
		}
		answer = make([]byte, 64<<10)
		n, err := conn.Read(answer)
		return answer[:max(n, 0)], err
	}
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(message))) // one question is short
	if _, err := conn.Write(append(framed, message...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer = make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err = io.ReadFull(conn, answer)
	return answer, err
}
