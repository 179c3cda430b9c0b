package meter

// Optional reports whether rows may have no value here.
func (c *Column) Optional() bool { return c.set != nil }

// Columns returns columns of which those that a hides are text: what stands for their values.
func (a *Anonymizer) Columns(columns []Column) []Column {
	all := make([]Column, len(columns))
	for i := range columns {
		all[i] = columns[i]
		if col := &columns[i]; a.hides(col.Name) {
			l := &lines{}
			all[i] = Column{Name: col.Name, Type: Text, set: col.set, text: func(b []byte, f *Flow) []byte {
				return a.append(b, l.appendText, col, f)
			}}
		}
	}
	return all
}
