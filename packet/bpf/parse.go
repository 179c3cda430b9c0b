package bpf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// direction is a direction qualifier.
type direction uint8

const (
	dirDefault direction = iota // either
	dirSrc
	dirDst
	dirOr
	dirAnd
)

// addressType is what an identifier stands for.
type addressType uint8

const (
	typeUndefined addressType = iota
	typeDefault
	typeHost
	typeNet
	typePort
	typePortRange
	typeProto
	typeGateway
)

// qualifier is what stands before an identifier, and is kept for the identifiers after "and" and "or".
type qualifier struct {
	proto protocol
	dir   direction
	typ   addressType
}

// unit is an operand of "and" and "or", or what may still become one.
type unit struct {
	kind  unitKind
	node  *node     // of unitTerm and unitID
	q     qualifier // what the next identifier inherits
	value operand   // of unitArith
	k     uint32    // of unitNumber
	at    int
}

type unitKind uint8

const (
	unitTerm   unitKind = iota // a primitive, a relation, a formula in parentheses
	unitID                     // identifiers that take their qualifier from before
	unitNumber                 // a number: an identifier or arithmetic
	unitArith                  // arithmetic without its relation
)

// operand is arithmetic, and the protocol it needs, nil for none.
type operand struct {
	value valueID
	guard *node
}

// parser compiles while it reads: what a primitive means depends on those to its left, such as vlan.
type parser struct {
	lexer
	c     *compiler
	depth int
}

func (p *parser) parse() (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token == tokenEnd {
		return boolean(true), nil
	}
	u, err := p.chain(qualifier{})
	if err != nil {
		return nil, err
	}
	if p.token != tokenEnd {
		return nil, p.errorf("syntax error at %s", p.shown())
	}
	if u.kind != unitTerm {
		return nil, &Error{u.at, errors.New("syntax error: what is compared is not said")}
	}
	return u.node, nil
}

func (p *parser) enter() error {
	if p.depth++; p.depth > MaxNesting {
		return p.errorf("nested deeper than %d", MaxNesting)
	}
	return nil
}

// chain reads operands with "and" and "or" between them, which bind alike, from the left. A chain that starts with an
// identifier is of identifiers alone.
func (p *parser) chain(q qualifier) (unit, error) {
	left, err := p.unit(q)
	if err != nil {
		return unit{}, err
	}
	for p.token == tokenAnd || p.token == tokenOr {
		op := p.token
		if left, err = p.identified(left, q); err != nil {
			return unit{}, err
		}
		if left.kind == unitArith {
			return unit{}, p.errorf("syntax error at %s: a relation is missing", p.shown())
		}
		if err := p.advance(); err != nil {
			return unit{}, err
		}
		right, err := p.unit(left.q)
		if err != nil {
			return unit{}, err
		}
		if right, err = p.identified(right, left.q); err != nil {
			return unit{}, err
		}
		if right.kind == unitArith || left.kind == unitID && right.kind != unitID {
			return unit{}, &Error{right.at, fmt.Errorf("syntax error: no operand of %q", map[bool]string{true: "and", false: "or"}[op == tokenAnd])}
		}
		if op == tokenAnd {
			left.node = and(left.node, right.node)
		} else {
			left.node = or(left.node, right.node)
		}
		left.q = right.q
	}
	return left, nil
}

// identified turns a number into the identifier it is.
func (p *parser) identified(u unit, q qualifier) (unit, error) {
	if u.kind != unitNumber {
		return u, nil
	}
	n, err := p.c.number(u.k, q)
	if err != nil {
		return unit{}, &Error{u.at, err}
	}
	return unit{kind: unitID, node: n, q: q, at: u.at}, nil
}

// negated reads, with read, what follows a "!". The caller negates it.
func (p *parser) negated(q qualifier, read func(qualifier) (unit, error)) (unit, error) {
	if err := p.enter(); err != nil {
		return unit{}, err
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return unit{}, err
	}
	u, err := read(q)
	if err != nil {
		return unit{}, err
	}
	return p.identified(u, q)
}

// unit reads an operand of "and" and "or". A number or arithmetic that no operator follows is returned as such: what
// is around it tells what it is.
func (p *parser) unit(q qualifier) (unit, error) {
	at := p.at
	if p.token == '!' {
		u, err := p.negated(q, p.unit)
		if err != nil {
			return unit{}, err
		}
		if u.kind == unitArith {
			return unit{}, &Error{u.at, errors.New("syntax error: a relation is missing")}
		}
		u.node = not(u.node)
		return u, nil
	}
	u, err := p.primary(q)
	if err != nil {
		return unit{}, err
	}
	u.at = at
	if u.kind != unitNumber && u.kind != unitArith {
		return u, nil
	}
	left, changed, err := p.operators(p.asOperand(u), 0)
	if err != nil {
		return unit{}, err
	}
	if changed {
		u = unit{kind: unitArith, value: left, at: at}
	}
	op, negate, ok := p.relation()
	if !ok {
		return u, nil
	}
	if err := p.advance(); err != nil {
		return unit{}, err
	}
	right, err := p.arithmetic(0)
	if err != nil {
		return unit{}, err
	}
	n := p.c.relate(op, left.value, right.value)
	if negate {
		n = not(n)
	}
	if right.guard != nil {
		n = and(right.guard, n)
	}
	if left.guard != nil {
		n = and(left.guard, n)
	}
	return unit{node: n, at: at}, nil
}

func (p *parser) asOperand(u unit) operand {
	if u.kind == unitNumber {
		return operand{value: p.c.constant(u.k)}
	}
	return u.value
}

func (p *parser) relation() (op uint8, negate, ok bool) {
	switch p.token {
	case '=':
		return jumpEQ, false, true
	case '>':
		return jumpGT, false, true
	case tokenGE:
		return jumpGE, false, true
	case tokenNE:
		return jumpEQ, true, true
	case tokenLE:
		return jumpGT, true, true
	case '<':
		return jumpGE, true, true
	default:
		return 0, false, false
	}
}

// precedence returns the operation of the current token, and how tightly it binds; "%" and "^" bind tightest to their
// left and take all that follows on their right, as libpcap's grammar leaves them without a precedence.
func (p *parser) precedence() (op uint8, binds, right int) {
	switch p.token {
	case '|':
		return aluOR, 1, 2
	case '&':
		return aluAND, 2, 3
	case tokenLeft:
		return aluLSH, 3, 4
	case tokenRight:
		return aluRSH, 3, 4
	case '+':
		return aluADD, 4, 5
	case '-':
		return aluSUB, 4, 5
	case '*':
		return aluMUL, 5, 6
	case '/':
		return aluDIV, 5, 6
	case '%':
		return aluMOD, 9, 0
	case '^':
		return aluXOR, 9, 0
	default:
		return 0, -1, 0
	}
}

// operators reads the operators, and what is right of them, that bind at least as tightly as least.
func (p *parser) operators(left operand, least int) (operand, bool, error) {
	changed := false
	for {
		op, binds, next := p.precedence()
		if binds < least {
			return left, changed, nil
		}
		if err := p.advance(); err != nil {
			return left, changed, err
		}
		at := p.at
		right, err := p.arithmetic(next)
		if err != nil {
			return left, changed, err
		}
		if k, ok := p.c.isConst(right.value); ok {
			switch {
			case k == 0 && (op == aluDIV || op == aluMOD):
				return left, changed, &Error{at, errors.New("division by zero")}
			case k > 31 && (op == aluLSH || op == aluRSH):
				return left, changed, &Error{at, errors.New("shift by more than 31 bits")}
			}
		}
		changed = true
		left.value = p.c.alu(op, left.value, right.value) // under the protocol of the left operand alone, as in libpcap
	}
}

// both returns the conjunction of two conditions, either of which may be nil.
func both(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return and(a, b)
	}
}

// arithmetic reads an operand and the operators after it that bind at least as tightly as least.
func (p *parser) arithmetic(least int) (operand, error) {
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	defer func() { p.depth-- }()
	at := p.at
	u, err := p.primary(qualifier{})
	if err != nil {
		return operand{}, err
	}
	if u.kind != unitNumber && u.kind != unitArith {
		return operand{}, &Error{at, errors.New("syntax error: no number")}
	}
	left, _, err := p.operators(p.asOperand(u), least)
	return left, err
}

func (p *parser) expect(t token) error {
	if p.token != t {
		return p.errorf("syntax error at %s: %q is missing", p.shown(), rune(t))
	}
	return p.advance()
}

// primary reads an operand without operators.
func (p *parser) primary(q qualifier) (unit, error) {
	switch p.token {
	case '(':
		return p.parentheses(q)
	case tokenNumber:
		u := unit{kind: unitNumber, k: p.number, at: p.at}
		return u, p.advance()
	case '-':
		if err := p.advance(); err != nil {
			return unit{}, err
		}
		v, err := p.arithmetic(6)
		if err != nil {
			return unit{}, err
		}
		v.value = p.c.negate(v.value)
		return unit{kind: unitArith, value: v}, nil
	case tokenName, tokenIPv4, tokenIPv6, tokenMAC:
		at := p.at
		n, err := p.identifier(q)
		return unit{kind: unitID, node: n, q: q, at: at}, err
	case tokenWord:
		return p.word()
	default:
		return unit{}, p.errorf("syntax error at %s", p.shown())
	}
}

func (p *parser) parentheses(q qualifier) (unit, error) {
	if err := p.enter(); err != nil {
		return unit{}, err
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return unit{}, err
	}
	u, err := p.chain(q)
	if err != nil {
		return unit{}, err
	}
	if err := p.expect(')'); err != nil {
		return unit{}, err
	}
	if u.kind == unitTerm {
		u.q = q
	}
	return u, nil
}

// identifier reads an address or a name and compiles what the qualifier makes of it.
func (p *parser) identifier(q qualifier) (*node, error) {
	kind, text, at, addr, mac := p.token, p.text, p.at, p.addr, p.mac
	if err := p.advance(); err != nil {
		return nil, err
	}
	fail := func(n *node, err error) (*node, error) {
		if err != nil {
			return nil, &Error{at, err}
		}
		return n, nil
	}
	if q.typ == typeUndefined {
		return fail(nil, fmt.Errorf("syntax error: %q without a qualifier such as host or port", text))
	}
	switch kind {
	case tokenMAC:
		return fail(p.c.mac(mac, q))
	case tokenIPv6:
		bits := uint32(128)
		if p.token == '/' {
			var err error
			if bits, err = p.prefixLength(128); err != nil {
				return nil, err
			}
		}
		return fail(p.c.host6(addr, bits, q))
	case tokenIPv4:
		return p.ipv4(text, at, q)
	default:
		return fail(p.c.name(text, q))
	}
}

func (p *parser) prefixLength(most uint32) (uint32, error) {
	if err := p.advance(); err != nil {
		return 0, err
	}
	if p.token != tokenNumber {
		return 0, p.errorf("syntax error at %s: no length of a mask", p.shown())
	}
	if p.number > most {
		return 0, p.errorf("mask length must be <= %d", most)
	}
	bits := p.number
	return bits, p.advance()
}

func (p *parser) ipv4(text string, at int, q qualifier) (*node, error) {
	addr, bits, err := parseIPv4(text)
	if err != nil {
		return nil, &Error{at, err}
	}
	mask := ^uint32(0) << (32 - bits)
	masked := false
	switch {
	case p.token == '/':
		length, err := p.prefixLength(32)
		if err != nil {
			return nil, err
		}
		mask, masked = ^uint32(0)<<(32-length), true
	case p.token == tokenWord && p.text == "mask":
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.token != tokenIPv4 {
			return nil, p.errorf("syntax error at %s: no mask", p.shown())
		}
		if mask, _, err = parseIPv4(p.text); err != nil {
			return nil, p.errorf("%w", err)
		}
		masked = true
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if masked && q.typ != typeNet {
		return nil, &Error{at, errors.New("mask syntax for networks only")}
	}
	if masked && addr&^mask != 0 {
		return nil, &Error{at, fmt.Errorf("non-network bits set in %q", p.src[at:p.at])}
	}
	n, err := p.c.host4(addr, mask, q)
	if err != nil {
		return nil, &Error{at, err}
	}
	return n, nil
}

// parseIPv4 reads one to four decimal numbers with dots between: the first bits of an address, and how many these are.
func parseIPv4(s string) (addr uint32, bits int, err error) {
	for part := range strings.SplitSeq(s, ".") {
		for i := range len(part) {
			if !isDigit(part[i]) {
				return 0, 0, fmt.Errorf("invalid IPv4 address %q", s)
			}
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return 0, 0, fmt.Errorf("invalid IPv4 address %q", s)
		}
		addr = addr<<8 | uint32(n)
		bits += 8
	}
	return addr << (32 - bits), bits, nil
}
