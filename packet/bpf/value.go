package bpf

// Codes of classic BPF, from which instructions are put together.
const (
	codeLD  = 0x00
	codeLDX = 0x01
	codeST  = 0x02
	codeALU = 0x04
	codeJMP = 0x05
	codeRET = 0x06
	codeTAX = 0x07
	codeTXA = 0x87

	sizeW = 0x00
	sizeH = 0x08
	sizeB = 0x10

	modeIMM = 0x00
	modeABS = 0x20
	modeIND = 0x40
	modeMEM = 0x60
	modeLEN = 0x80
	modeMSH = 0xa0

	aluADD = 0x00
	aluSUB = 0x10
	aluMUL = 0x20
	aluDIV = 0x30
	aluOR  = 0x40
	aluAND = 0x50
	aluLSH = 0x60
	aluRSH = 0x70
	aluNEG = 0x80
	aluMOD = 0x90
	aluXOR = 0xa0

	jumpJA   = 0x00
	jumpEQ   = 0x10
	jumpGT   = 0x20
	jumpGE   = 0x30
	jumpSET  = 0x40
	operandX = 0x08
)

// valueID numbers the values of a program; equal values have equal numbers.
type valueID int32

// noValue is what is not known of a register.
const noValue valueID = -1

type valueKind uint8

const (
	kindConst    valueKind = iota // k
	kindLength                    // length of the frame on the wire
	kindAbsolute                  // size bytes at k
	kindIndirect                  // size bytes at k + a
	kindHeader                    // 4 * low nibble of the byte at k: length of an IPv4 header
	kindALU                       // a op b
)

// value is what can be computed from a frame. It is pure: the same every time, or the frame is too short for it.
type value struct {
	kind valueKind
	code uint8 // size of loads, operation of kindALU
	k    uint32
	a, b valueID
}

// testID numbers the tests of a program.
type testID int32

// test compares a value with another, or with k where b is noValue.
type test struct {
	op   uint8
	a, b valueID
	k    uint32
}

type nodeKind uint8

const (
	nodeFalse nodeKind = iota
	nodeTrue
	nodeTest
	nodeNot
	nodeAnd
	nodeOr
)

// node is a formula over tests. The order of its parts is the order of the tests, which matters for short frames.
type node struct {
	kind nodeKind
	test testID
	l, r *node
}

func and(l, r *node) *node { return &node{kind: nodeAnd, l: l, r: r} }
func or(l, r *node) *node  { return &node{kind: nodeOr, l: l, r: r} }
func not(l *node) *node    { return &node{kind: nodeNot, l: l} }

func boolean(b bool) *node {
	if b {
		return &node{kind: nodeTrue}
	}
	return &node{kind: nodeFalse}
}

// pool holds the values and tests of a program, each once.
type pool struct {
	values  []value
	needs   []uint16 // memory words to compute each
	tests   []test
	same    []testID // the previous test of the same value, or -1
	valueOf map[value]valueID
	testOf  map[test]testID
	lastOf  map[valueID]testID
}

func (p *pool) value(v value) valueID {
	if id, ok := p.valueOf[v]; ok {
		return id
	}
	if p.valueOf == nil {
		p.valueOf = make(map[value]valueID, 32)
	}
	id := valueID(len(p.values))
	p.values = append(p.values, v)
	p.needs = append(p.needs, p.need(v))
	p.valueOf[v] = id
	return id
}

// need returns how many memory words it takes to compute a value, at most one more than a machine has.
func (p *pool) need(v value) uint16 {
	if v.a == noValue {
		return 0
	}
	a := p.needs[v.a]
	if v.b == noValue || p.values[v.b].kind == kindConst {
		return a
	}
	b := p.needs[v.b]
	if a == b {
		return min(a+1, scratch+1)
	}
	return max(a, b)
}

func (p *pool) constant(k uint32) valueID {
	return p.value(value{kind: kindConst, k: k, a: noValue, b: noValue})
}

// load returns the value of size bytes at x + k; x may be noValue.
func (p *pool) load(size uint8, x valueID, k uint32) valueID {
	if x == noValue {
		return p.value(value{kind: kindAbsolute, code: size, k: k, a: noValue, b: noValue})
	}
	if v := p.values[x]; v.kind == kindConst {
		return p.load(size, noValue, k+v.k)
	}
	return p.value(value{kind: kindIndirect, code: size, k: k, a: x, b: noValue})
}

func (p *pool) isConst(id valueID) (uint32, bool) {
	v := p.values[id]
	return v.k, v.kind == kindConst
}

// loads tells whether a value needs something of the frame, which may be too short for it.
func (p *pool) loads(id valueID) bool {
	v := p.values[id]
	switch v.kind {
	case kindConst, kindLength:
		return false
	case kindALU:
		return p.loads(v.a) || p.loads(v.b) || v.code == aluDIV || v.code == aluMOD
	default:
		return true
	}
}

// alu returns a op b, folded where that drops no load. Division of constants by zero is the caller's to refuse.
func (p *pool) alu(op uint8, a, b valueID) valueID {
	ka, aConst := p.isConst(a)
	kb, bConst := p.isConst(b)
	if aConst && bConst {
		if k, ok := compute(op, ka, kb); ok {
			return p.constant(k)
		}
	}
	if bConst && kb == 0 {
		switch op {
		case aluADD, aluSUB, aluOR, aluLSH, aluRSH, aluXOR:
			return a
		}
	}
	return p.value(value{kind: kindALU, code: op, a: a, b: b})
}

func compute(op uint8, a, b uint32) (uint32, bool) {
	switch op {
	case aluADD:
		return a + b, true
	case aluSUB:
		return a - b, true
	case aluMUL:
		return a * b, true
	case aluDIV:
		if b != 0 {
			return a / b, true
		}
	case aluMOD:
		if b != 0 {
			return a % b, true
		}
	case aluOR:
		return a | b, true
	case aluAND:
		return a & b, true
	case aluXOR:
		return a ^ b, true
	case aluNEG:
		return -a, true
	case aluLSH:
		return a << b, true
	case aluRSH:
		return a >> b, true
	}
	return 0, false
}

// compare returns a test of a value against a constant.
func (p *pool) compare(op uint8, a valueID, k uint32) *node {
	if v, ok := p.isConst(a); ok {
		return boolean(evaluate(op, v, k))
	}
	if v := p.values[a]; op == jumpEQ && k == 0 && v.kind == kindALU && v.code == aluAND {
		if mask, ok := p.isConst(v.b); ok {
			return not(p.node(test{op: jumpSET, a: v.a, b: noValue, k: mask}))
		}
	}
	return p.node(test{op: op, a: a, b: noValue, k: k})
}

// relate returns a test of two values.
func (p *pool) relate(op uint8, a, b valueID) *node {
	if k, ok := p.isConst(b); ok {
		return p.compare(op, a, k)
	}
	if k, ok := p.isConst(a); ok {
		switch op {
		case jumpEQ:
			return p.compare(jumpEQ, b, k)
		case jumpGT:
			return not(p.compare(jumpGE, b, k))
		default:
			return not(p.compare(jumpGT, b, k))
		}
	}
	return p.node(test{op: op, a: a, b: b})
}

func (p *pool) node(t test) *node {
	id, ok := p.testOf[t]
	if !ok {
		if p.testOf == nil {
			p.testOf = make(map[test]testID, 16)
			p.lastOf = make(map[valueID]testID, 16)
		}
		id = testID(len(p.tests))
		last, ok := p.lastOf[t.a]
		if !ok {
			last = -1
		}
		p.tests, p.same = append(p.tests, t), append(p.same, last)
		p.testOf[t], p.lastOf[t.a] = id, id
	}
	return &node{kind: nodeTest, test: id}
}

func evaluate(op uint8, a, k uint32) bool {
	switch op {
	case jumpEQ:
		return a == k
	case jumpGT:
		return a > k
	case jumpGE:
		return a >= k
	default:
		return a&k != 0
	}
}
