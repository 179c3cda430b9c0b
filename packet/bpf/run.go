package bpf

// Run runs the program on a frame of so many bytes on the wire, of which data was captured, and returns how many bytes
// to keep, 0 for a frame that is not accepted. A program that a kernel would refuse accepts nothing
// from where it goes wrong. Run does not allocate.
//
// The VM of x/net/bpf knows captured bytes alone: there, len and less and greater are about what was captured.
func (p Program) Run(data []byte, length int) int {
	var a, x uint32
	var memory [scratch]uint32
	for pc := 0; pc < len(p); pc++ {
		i := &p[pc]
		operand := i.K
		if i.Op&operandX != 0 {
			operand = x
		}
		ok := true
		switch i.Op & 0x07 {
		case codeLD:
			a, ok = fetch(i.Op, i.K, x, data, length, &memory)
		case codeLDX:
			x, ok = fetch(i.Op, i.K, x, data, length, &memory)
		case codeST:
			if ok = i.K < scratch; ok {
				memory[i.K] = a
			}
		case codeST + 1:
			if ok = i.K < scratch; ok {
				memory[i.K] = x
			}
		case codeALU:
			a, ok = compute(uint8(i.Op&0xf0), a, operand)
		case codeJMP:
			switch {
			case i.Op&0xf0 == jumpJA:
				if ok = uint64(i.K) < uint64(len(p)); ok {
					pc += int(i.K)
				}
			case evaluate(uint8(i.Op&0xf0), a, operand):
				pc += int(i.Jt)
			default:
				pc += int(i.Jf)
			}
		case codeRET:
			if i.Op&0x18 == 0x10 {
				return int(a)
			}
			return int(i.K)
		case codeTAX & 0x07:
			if i.Op == codeTXA {
				a = x
			} else {
				x = a
			}
		}
		if !ok {
			return 0
		}
	}
	return 0
}

// fetch returns what a load reads; ok is false beyond the end of the frame.
func fetch(op uint16, k, x uint32, data []byte, length int, memory *[scratch]uint32) (v uint32, ok bool) {
	at := uint64(k)
	switch op & 0xe0 {
	case modeIMM:
		return k, true
	case modeLEN:
		return uint32(max(length, len(data))), true
	case modeMEM:
		if k >= scratch {
			return 0, false
		}
		return memory[k], true
	case modeMSH:
		if at >= uint64(len(data)) {
			return 0, false
		}
		return uint32(data[at]&0xf) << 2, true
	case modeIND:
		at += uint64(x)
	}
	size := 4
	switch op & 0x18 {
	case sizeH:
		size = 2
	case sizeB:
		size = 1
	}
	if at+uint64(size) > uint64(len(data)) {
		return 0, false
	}
	for _, b := range data[at : at+uint64(size)] {
		v = v<<8 | uint32(b)
	}
	return v, true
}
