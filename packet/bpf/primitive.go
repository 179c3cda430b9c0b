package bpf

import (
	"errors"
	"fmt"
)

// word reads what starts with a keyword: a primitive, a load, or the length.
func (p *parser) word() (unit, error) {
	at, word := p.at, p.text
	if unsupported(word) {
		return unit{}, p.errorf("%q is not supported", word)
	}
	proto := protocolOf(word)
	if proto != protoNone || word == "len" || word == "length" {
		if err := p.advance(); err != nil {
			return unit{}, err
		}
		if proto == protoNone {
			return unit{kind: unitArith, value: operand{value: p.c.length()}}, nil
		}
		if p.token == '[' {
			return p.load(proto, at)
		}
	}
	if p.token == tokenWord {
		switch p.text {
		case "src", "dst", "host", "net", "port", "portrange", "proto", "protochain", "gateway":
			return p.qualified(proto, at)
		case "broadcast", "multicast":
			cast := p.c.multicast
			if p.text == "broadcast" {
				cast = p.c.broadcast
			}
			n, err := cast(proto)
			if err != nil {
				return unit{}, &Error{at, err}
			}
			return unit{node: n}, p.advance()
		}
		if proto == protoNone {
			n, err := p.other(word)
			return unit{node: n}, err
		}
		if unsupported(p.text) {
			return unit{}, p.errorf("%q is not supported", p.text)
		}
	}
	n, err := p.c.protocol(proto)
	if err != nil {
		return unit{}, &Error{at, err}
	}
	return unit{node: n}, nil
}

// load reads the rest of proto[offset:size].
func (p *parser) load(proto protocol, at int) (unit, error) {
	if err := p.advance(); err != nil {
		return unit{}, err
	}
	offset, err := p.arithmetic(0)
	if err != nil {
		return unit{}, err
	}
	size := uint32(1)
	if p.token == ':' {
		if err := p.advance(); err != nil {
			return unit{}, err
		}
		if p.token != tokenNumber {
			return unit{}, p.errorf("syntax error at %s: no size", p.shown())
		}
		if size = p.number; size != 1 && size != 2 && size != 4 {
			return unit{}, p.errorf("data size must be 1, 2, or 4")
		}
		if err := p.advance(); err != nil {
			return unit{}, err
		}
	}
	if err := p.expect(']'); err != nil {
		return unit{}, err
	}
	v, err := p.c.field(proto, offset, size)
	if err != nil {
		return unit{}, &Error{at, err}
	}
	return unit{kind: unitArith, value: v}, nil
}

// qualified reads the qualifiers after a protocol, and the identifier they belong to.
func (p *parser) qualified(proto protocol, at int) (unit, error) {
	q := qualifier{proto: proto, typ: typeDefault}
	var err error
	if p.text == "src" || p.text == "dst" {
		if q.dir, err = p.direction(); err != nil {
			return unit{}, err
		}
	}
	if p.token == tokenWord {
		switch p.text {
		case "host":
			q.typ = typeHost
		case "net":
			q.typ = typeNet
		case "port":
			q.typ = typePort
		case "portrange":
			q.typ = typePortRange
		case "proto":
			q.typ = typeProto
		case "gateway":
			q.typ = typeGateway
		case "protochain":
			return unit{}, p.errorf("%q is not supported: it needs a loop", p.text)
		}
		if q.dir != dirDefault && (q.typ == typeProto || q.typ == typeGateway) {
			return unit{}, p.errorf("syntax error: %q has no direction", p.text)
		}
		if q.typ != typeDefault {
			if err := p.advance(); err != nil {
				return unit{}, err
			}
		}
	}
	u, err := p.operandOf(q)
	if err != nil {
		return unit{}, err
	}
	if u, err = p.identified(u, q); err != nil {
		return unit{}, err
	}
	if u.kind != unitID {
		return unit{}, &Error{u.at, errors.New("syntax error: no identifier after the qualifier")}
	}
	return unit{node: u.node, q: u.q, at: at}, nil
}

// operandOf reads the identifier after qualifiers: one, a negated one, or several in parentheses.
func (p *parser) operandOf(q qualifier) (unit, error) {
	switch p.token {
	case '!', '(', tokenNumber, tokenName, tokenIPv4, tokenIPv6, tokenMAC:
	default:
		return unit{}, p.errorf("syntax error at %s: no identifier after the qualifier", p.shown())
	}
	at := p.at
	if p.token == '!' {
		u, err := p.negated(q, p.operandOf)
		if err != nil {
			return unit{}, err
		}
		u.node = not(u.node)
		return u, nil
	}
	u, err := p.primary(q)
	u.at = at
	if err == nil && u.kind != unitID && u.kind != unitNumber {
		err = &Error{at, errors.New("syntax error: no identifier after the qualifier")}
	}
	return u, err
}

// direction reads src, dst, or both with "and" or "or" between.
func (p *parser) direction() (direction, error) {
	first := p.text
	if err := p.advance(); err != nil {
		return 0, err
	}
	d := dirSrc
	if first == "dst" {
		d = dirDst
	}
	if p.token != tokenAnd && p.token != tokenOr {
		return d, nil
	}
	both := dirOr
	if p.token == tokenAnd {
		both = dirAnd
	}
	if err := p.advance(); err != nil {
		return 0, err
	}
	if p.token != tokenWord || p.text == first || p.text != "src" && p.text != "dst" {
		return 0, p.errorf("syntax error at %s: no direction", p.shown())
	}
	return both, p.advance()
}

// other reads the primitives that start with a word of their own.
func (p *parser) other(word string) (*node, error) {
	at := p.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	fail := func(n *node, err error) (*node, error) {
		if err != nil {
			return nil, &Error{at, err}
		}
		return n, nil
	}
	switch word {
	case "less", "greater", "ifindex":
		if p.token != tokenNumber {
			return nil, p.errorf("syntax error at %s: no number after %q", p.shown(), word)
		}
		k := p.number
		if err := p.advance(); err != nil {
			return nil, err
		}
		switch word {
		case "less":
			return not(p.c.compare(jumpGT, p.c.length(), k)), nil
		case "greater":
			return p.c.compare(jumpGE, p.c.length(), k), nil
		}
		return fail(p.c.interfaceIndex(k))
	case "byte":
		return p.byteOperation()
	case "inbound":
		return fail(p.c.inbound(true))
	case "outbound":
		return fail(p.c.inbound(false))
	case "pppoed":
		return fail(p.c.linkType(etherPPPoED))
	case "vlan", "mpls", "pppoes", "geneve":
		id, given, err := p.optionalNumber()
		if err != nil {
			return nil, err
		}
		switch word {
		case "vlan":
			return fail(p.c.vlan(id, given))
		case "mpls":
			return fail(p.c.mpls(id, given))
		case "pppoes":
			return fail(p.c.pppoes(id, given))
		}
		return fail(p.c.geneve(id, given))
	}
	return nil, &Error{at, fmt.Errorf("syntax error at %q", word)}
}

// optionalNumber reads a number, which may be in parentheses, where there is one.
func (p *parser) optionalNumber() (uint32, bool, error) {
	if p.token == tokenNumber {
		k := p.number
		return k, true, p.advance()
	}
	if p.token != '(' {
		return 0, false, nil
	}
	u, err := p.parentheses(qualifier{})
	if err == nil && u.kind != unitNumber {
		err = &Error{u.at, errors.New("syntax error: no number")}
	}
	return u.k, true, err
}

func (p *parser) byteOperation() (*node, error) {
	if p.token != tokenNumber {
		return nil, p.errorf("syntax error at %s: no number after %q", p.shown(), "byte")
	}
	index := p.number
	if index > farthest {
		return nil, p.errorf("offset %d is beyond every frame", index)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	op := p.token
	switch op {
	case '=', '<', '>':
	case '&', '|':
		return nil, p.errorf("byte with %q is not supported; link[%d] %s ... says it", p.text, index, p.text)
	default:
		return nil, p.errorf("syntax error at %s: no operator", p.shown())
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token != tokenNumber {
		return nil, p.errorf("syntax error at %s: no number", p.shown())
	}
	k := p.number
	v := p.c.load(sizeB, noValue, p.c.link+index)
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch op {
	case '=':
		return p.c.compare(jumpEQ, v, k), nil
	case '<':
		return not(p.c.compare(jumpGE, v, k)), nil
	default:
		return p.c.compare(jumpGT, v, k), nil
	}
}
