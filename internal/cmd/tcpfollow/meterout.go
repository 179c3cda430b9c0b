package tcpfollow

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/zeek"
)

// meterOutput is what the flags of meter say of its output.
type meterOutput struct {
	write     string
	beside    bool // -w without a name
	output    string
	dialect   string
	columns   []string
	anonymize []string
	key       string
	prefixes  bool
	perFile   int
	rotate    int
	unit      time.Duration // of times
}

func (o *meterOutput) flags(fl *pflag.FlagSet) {
	fl.StringVarP(&o.output, "output", "o", "csv", "output format: "+strings.Join(slices.Sorted(maps.Keys(meterFormats())), ", "))
	fl.StringVarP(&o.write, "write", "w", "", "write rows to `file` in place of standard output; as the last argument, without a name, beside the capture")
	fl.StringVar(&o.dialect, "dialect", "nfstream", "CSV of NFStream 6.6.0 (nfstream) or 6.5.4 (nfstream-6.5, with its fingerprints and sizes), or rfc4180")
	fl.StringSliceVar(&o.columns, "columns", nil, "print only these `columns`, in this order")
	fl.StringSliceVar(&o.anonymize, "columns-to-anonymize", nil, "print keyed digests in place of the values of these `columns`")
	fl.StringVar(&o.key, "anon-key", "", "key of the digests and addresses, in `hex`, 1 to 64 bytes (default random)")
	fl.BoolVar(&o.prefixes, "anon-prefixes", false, "addresses to anonymize become addresses that share the prefixes that the true ones share")
	fl.IntVar(&o.perFile, "flows-per-file", 0, "write so many `flows` to each file: x.0.csv, x.1.csv, …")
	fl.IntVar(&o.rotate, "rotate-files", 0, "write over the first file after so many `files`, with --flows-per-file")
}

// bare lets -w be the last argument.
func (o *meterOutput) bare(_ *cobra.Command) func(*cobra.Command, error) error {
	return func(cmd *cobra.Command, err error) error {
		var missing *pflag.ValueRequiredError
		if !errors.As(err, &missing) || missing.GetFlag().Name != "write" {
			return err
		}
		o.beside = true
		return cmd.RunE(cmd, cmd.Flags().Args())
	}
}

// meterFormat is a way to write rows.
type meterFormat struct {
	extension string
	// empty tells that a file is made without rows, too.
	empty bool
	make  makeWriter // nil if the format was left out of the program
}

type makeWriter func(o *meterOutput, w io.Writer, columns []meter.Column) (meter.Writer, error)

// meterFormats returns the output formats by their names.
func meterFormats() map[string]meterFormat {
	return map[string]meterFormat{
		"csv": {".csv", false, func(o *meterOutput, w io.Writer, columns []meter.Column) (meter.Writer, error) {
			d, err := choice("dialect", o.dialect, dialects())
			return meter.NewCSV(w, columns, &meter.CSVConfig{Dialect: d}), err
		}},
		"json": {".json", true, func(_ *meterOutput, w io.Writer, columns []meter.Column) (meter.Writer, error) {
			return meter.NewJSON(w, columns), nil
		}},
		"text": {".txt", true, func(_ *meterOutput, w io.Writer, columns []meter.Column) (meter.Writer, error) {
			escape := func(dst, text []byte) []byte { return cli.AppendEscaped(dst, text, false) }
			return meter.NewPlain(w, columns, &meter.PlainConfig{Escape: escape}), nil
		}},
		"parquet": {".parquet", true, parquetWriter()},
		"records": {".csv", true, func(o *meterOutput, w io.Writer, _ []meter.Column) (meter.Writer, error) {
			return meter.NewRecords(w, o.unit), nil
		}},
		"zeek": {".log", true, func(_ *meterOutput, w io.Writer, _ []meter.Column) (meter.Writer, error) {
			return zeek.New(w), nil
		}},
	}
}

func dialects() map[string]meter.Dialect {
	return map[string]meter.Dialect{
		"nfstream": meter.DialectNFStream, "nfstream-6.5": meter.DialectNFStream65, "rfc4180": meter.DialectRFC4180,
	}
}

// open returns what rows are written with.
func (o *meterOutput) open(stdout, stderr io.Writer, columns []meter.Column, files []string) (*meterRows, error) {
	format, ok := meterFormats()[o.output]
	if !ok {
		return nil, cli.Usage("-o: %q is none of %s", o.output, strings.Join(slices.Sorted(maps.Keys(meterFormats())), ", "))
	}
	dialect, err := choice("dialect", o.dialect, dialects())
	switch {
	case format.make == nil:
		return nil, cli.Usage("-o %s: left out of this program by the build tag no%s", o.output, o.output)
	case err != nil:
		return nil, err
	case (o.output == "records" || o.output == "zeek") && len(o.columns)+len(o.anonymize) > 0:
		return nil, cli.Usage("-o %s has its own columns: neither --columns nor --columns-to-anonymize goes with it", o.output)
	case o.perFile < 0:
		return nil, cli.Usage("--flows-per-file: %d is negative", o.perFile)
	case o.rotate < 0:
		return nil, cli.Usage("--rotate-files: %d is negative", o.rotate)
	case o.output == "parquet" && o.write == "" && !o.beside && cli.IsTerminal(stdout):
		return nil, cli.Usage("-o parquet is not for a terminal: name a file with -w")
	case o.perFile > 0 && o.write == "" && !o.beside:
		return nil, cli.Usage("--flows-per-file goes with -w")
	}
	if o.beside {
		if files[0] == "-" {
			return nil, cli.Usage("-w without a name: standard input has none either")
		}
		o.write = strings.TrimRight(files[0], string(filepath.Separator)) + format.extension
	}
	if len(o.columns) > 0 {
		if columns, err = meter.Select(columns, o.columns); err != nil {
			return nil, &cli.CodedError{Code: cli.ExitUsage, Err: err}
		}
	}
	anonymizer, err := o.anonymizer(columns, stderr)
	if err != nil {
		return nil, err
	}
	columns = anonymizer.Columns(columns)
	rows := &meterRows{
		path: o.write, perFile: o.perFile, rotate: o.rotate, inputs: files,
		empty: format.empty || dialect == meter.DialectRFC4180,
		make:  func(w io.Writer) (meter.Writer, error) { return format.make(o, w, columns) },
	}
	if rows.path == "" || rows.path == "-" {
		rows.path = ""
		rows.w, err = rows.make(stdout)
		return rows, err
	}
	return rows, rows.check()
}

// anonymizer returns what hides the columns that the flags name. As with NFStream, one that is not there is only said.
func (o *meterOutput) anonymizer(columns []meter.Column, stderr io.Writer) (*meter.Anonymizer, error) {
	for _, name := range o.anonymize {
		if !slices.ContainsFunc(columns, func(c meter.Column) bool { return c.Name == name }) {
			fmt.Fprintf(stderr, "tcpfollow: --columns-to-anonymize: no column named %q\n", name)
		}
	}
	var key []byte
	if o.key != "" {
		var err error
		if key, err = hex.DecodeString(o.key); err != nil {
			return nil, cli.Usage("--anon-key: %w", err)
		}
	}
	if len(o.anonymize) == 0 {
		return nil, nil //nolint:nilnil // nil hides nothing
	}
	a, err := meter.NewAnonymizer(o.anonymize, key)
	if err != nil {
		return nil, cli.Usage("--anon-key: %w", err)
	}
	if o.prefixes {
		a.KeepPrefixes()
	}
	return a, nil
}

// meterRows writes rows to standard output, to a file, or to several. A file gets its name when it is complete.
type meterRows struct {
	path    string // "" is standard output
	perFile int
	rotate  int
	inputs  []string
	empty   bool
	make    func(io.Writer) (meter.Writer, error)

	w       meter.Writer
	file    *os.File // a temporary name
	in      int      // rows in it
	index   int      // of the next file
	written uint64
	files   int
}

// check tries whether the file can be written before anything is read.
func (r *meterRows) check() error {
	if to, err := os.Stat(r.name()); err == nil && isInput(r.inputs, to) {
		return fmt.Errorf("%s: is being read, and cannot be written to", r.name())
	}
	return r.start()
}

// name returns the name of the file that is written next.
func (r *meterRows) name() string {
	if r.perFile == 0 {
		return r.path
	}
	i := r.index
	if r.rotate > 0 {
		i %= r.rotate
	}
	ext := filepath.Ext(r.path)
	return strings.TrimSuffix(r.path, ext) + "." + strconv.Itoa(i) + ext
}

// start opens the next file under a temporary name; a device or a pipe is written to as it is.
func (r *meterRows) start() (err error) {
	temporary := r.name() + ".part"
	if fi, err := os.Stat(r.name()); err == nil && !fi.Mode().IsRegular() {
		temporary = r.name()
	}
	if r.file, err = os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666); err != nil {
		return err
	}
	r.in = 0
	r.w, err = r.make(r.file)
	return err
}

// finish completes the file.
func (r *meterRows) finish() error {
	err := r.w.Close()
	if closeErr := r.file.Close(); err == nil {
		err = closeErr
	}
	temporary := r.file.Name()
	r.file, r.w = nil, nil
	if temporary != r.name() {
		if err != nil {
			_ = os.Remove(temporary) // the error says more
			return err
		}
		err = os.Rename(temporary, r.name())
	}
	if err != nil {
		return err
	}
	r.files++
	r.index++
	return nil
}

// Write writes a row.
func (r *meterRows) Write(f *meter.Flow) error {
	if r.w == nil {
		if err := r.start(); err != nil {
			return err
		}
	}
	if err := r.w.Write(f); err != nil {
		return err
	}
	r.written++
	r.in++
	if r.path != "" && r.perFile > 0 && r.in == r.perFile {
		return r.finish()
	}
	return nil
}

// flush writes the rows that wait for more, where the format allows it.
func (r *meterRows) flush() error {
	if w, ok := r.w.(interface{ Flush() error }); ok {
		return w.Flush()
	}
	return nil
}

// Close completes what was written.
func (r *meterRows) Close() error {
	switch {
	case r.path == "":
		return r.w.Close()
	case r.w == nil:
		return nil
	case r.in == 0 && !r.empty: // as NFStream: no file without rows
		r.abort()
		return nil
	}
	return r.finish()
}

// abort leaves out what is not complete.
func (r *meterRows) abort() {
	if r.path == "" {
		_ = r.w.Close() // what there is; the error that ended it is told
	}
	if r.file != nil {
		_ = r.file.Close()
		if r.file.Name() != r.name() {
			_ = os.Remove(r.file.Name())
		}
		r.file, r.w = nil, nil
	}
}

// report says what was written to files.
func (r *meterRows) report(w io.Writer) {
	switch {
	case r.path == "":
	case r.perFile > 0:
		fmt.Fprintf(w, "%s written to %s\n", cli.Count(r.written, "row"), cli.Count(uint64(r.files), "file"))
	default:
		fmt.Fprintf(w, "%s written to %s\n", cli.Count(r.written, "row"), cli.EscapeLine(r.path))
	}
}
