package bpf

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// scratch is the number of memory words of the machine.
const scratch = 16

// registers are the values known to be in A and X.
type registers struct{ a, x valueID }

// section is the instructions of one block, without its jump.
type section struct {
	code   []bpf.RawInstruction
	before registers
	known  bool // before is set
	at     int  // index of its first instruction
	long   [2]bool
}

// emitter puts a block's instructions together.
type emitter struct {
	*pool
	registers
	code  []bpf.RawInstruction
	slots uint32 // memory words in use
	total int
	err   error
}

func (e *emitter) put(op int, k uint32) {
	if e.total++; e.total > MaxInstructions && e.err == nil {
		e.err = errTooLong()
	}
	if e.err == nil {
		e.code = append(e.code, bpf.RawInstruction{Op: uint16(op), K: k})
	}
}

// intoA computes a value into A.
func (e *emitter) intoA(id valueID) {
	if e.a == id || e.err != nil {
		return
	}
	v := e.values[id]
	switch v.kind {
	case kindConst:
		e.put(codeLD|modeIMM, v.k)
	case kindLength:
		e.put(codeLD|modeLEN, 0)
	case kindAbsolute:
		e.put(codeLD|modeABS|int(v.code), v.k)
	case kindIndirect:
		e.intoX(v.a)
		e.put(codeLD|modeIND|int(v.code), v.k)
	case kindHeader:
		e.intoX(id)
		e.put(codeTXA, 0)
	case kindALU:
		e.operation(v)
	}
	e.a = id
}

func (e *emitter) operation(v value) {
	if k, ok := e.isConst(v.b); ok {
		e.intoA(v.a)
		e.put(codeALU|int(v.code), k)
		return
	}
	a, b := v.a, v.b
	if e.values[a].kind == kindHeader && (v.code == aluADD || v.code == aluMUL || v.code == aluAND || v.code == aluOR || v.code == aluXOR) {
		a, b = b, a
	}
	e.both(a, b)
	e.put(codeALU|operandX|int(v.code), 0)
}

// both computes a into A and b into X.
func (e *emitter) both(a, b valueID) {
	if e.values[b].kind == kindHeader || e.values[b].kind == kindConst {
		e.intoA(a)
		e.intoX(b)
		return
	}
	slot := e.slots
	if slot >= scratch {
		if e.err == nil {
			e.err = &Error{0, fmt.Errorf("arithmetic needs more than %d memory words", scratch)}
		}
		return
	}
	if e.needs[a] > e.needs[b] { // the greater first: fewer words
		e.intoA(a)
		e.put(codeST, slot)
		e.slots++
		e.intoX(b)
		e.slots--
		e.put(codeLD|modeMEM, slot)
		e.a = a
		return
	}
	e.intoA(b)
	e.put(codeST, slot)
	e.slots++
	e.intoA(a)
	e.slots--
	e.put(codeLDX|modeMEM, slot)
	e.x = b
}

// intoX computes a value into X. Lengths of headers and constants leave A alone.
func (e *emitter) intoX(id valueID) {
	if e.x == id || e.err != nil {
		return
	}
	switch v := e.values[id]; v.kind {
	case kindHeader:
		e.put(codeLDX|modeMSH|sizeB, v.k)
	case kindConst:
		e.put(codeLDX|modeIMM, v.k)
	default:
		e.intoA(id)
		e.put(codeTAX, 0)
	}
	e.x = id
}

func (g *graph) emit() (Program, error) {
	order := g.order()
	sections := make([]section, len(g.blocks))
	sections[g.root] = section{known: true, before: registers{noValue, noValue}}
	e := emitter{pool: g.pool}
	e.code = make([]bpf.RawInstruction, 0, 4*len(order)+2)
	for _, id := range order {
		s, b := &sections[id], g.blocks[id]
		e.registers = s.before
		start := len(e.code)
		if t := g.tests[b.test]; t.b == noValue {
			e.intoA(t.a)
		} else {
			e.both(t.a, t.b)
		}
		e.total++ // the jump
		if e.err != nil {
			return nil, e.err
		}
		s.code = e.code[start:len(e.code):len(e.code)]
		for _, to := range [2]blockID{b.onTrue, b.onFalse} {
			sections[to].enter(e.registers)
		}
	}
	for _, id := range [2]blockID{accept, reject} {
		if sections[id].known {
			order = append(order, id)
		}
	}
	return g.link(order, sections)
}

// enter notes what is in the registers when a block is entered by one more edge.
func (s *section) enter(r registers) {
	if !s.known {
		s.known, s.before = true, r
		return
	}
	if s.before.a != r.a {
		s.before.a = noValue
	}
	if s.before.x != r.x {
		s.before.x = noValue
	}
}

// link lays the blocks out and resolves their jumps. A jump too far for the eight bits of an instruction goes by way of
// an unconditional jump after it.
func (g *graph) link(order []blockID, sections []section) (Program, error) {
	size := 0
	for again := true; again; {
		again, size = false, 0
		for _, id := range order {
			s := &sections[id]
			s.at = size
			size++
			if id > accept {
				size += len(s.code) + count(s.long)
			}
		}
		for _, id := range order {
			if id <= accept {
				continue
			}
			s, b := &sections[id], g.blocks[id]
			after := s.at + len(s.code) + 1
			for i, to := range [2]blockID{b.onTrue, b.onFalse} {
				if !s.long[i] && sections[to].at-after > 255 {
					s.long[i], again = true, true
				}
			}
		}
	}
	if size > MaxInstructions {
		return nil, errTooLong()
	}
	program := make(Program, 0, size)
	for _, id := range order {
		switch id {
		case accept:
			program = append(program, bpf.RawInstruction{Op: codeRET, K: Snap})
			continue
		case reject:
			program = append(program, bpf.RawInstruction{Op: codeRET})
			continue
		}
		s, b := &sections[id], g.blocks[id]
		program = append(program, s.code...)
		t := g.tests[b.test]
		jump := bpf.RawInstruction{Op: codeJMP | uint16(t.op), K: t.k}
		if t.b != noValue {
			jump.Op |= operandX
		}
		after := len(program) + 1
		var detours []bpf.RawInstruction
		for i, to := range [2]blockID{b.onTrue, b.onFalse} {
			skip := sections[to].at - after
			if s.long[i] {
				skip = len(detours)
				detours = append(detours, bpf.RawInstruction{Op: codeJMP | jumpJA, K: uint32(sections[to].at - after - skip - 1)})
			}
			if i == 0 {
				jump.Jt = uint8(skip)
			} else {
				jump.Jf = uint8(skip)
			}
		}
		program = append(append(program, jump), detours...)
	}
	return program, nil
}

func count(long [2]bool) int {
	n := 0
	for _, l := range long {
		if l {
			n++
		}
	}
	return n
}
