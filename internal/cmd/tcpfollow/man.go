package tcpfollow

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages to a directory",
		Example: "  tcpfollow man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writeManual(root, args[0])
		},
	}
}

// writeManual writes the pages of a command and of those below it, in the macros of man(7).
func writeManual(c *cobra.Command, dir string) error {
	var page bytes.Buffer
	name := pageName(c)
	fmt.Fprintf(&page, ".TH %s 1 \"\" tcpfollow\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), roff(name), roff(c.Short))
	fmt.Fprintf(&page, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n", roff(c.UseLine()))
	writeText(&page, c)
	page.WriteString(".SH OPTIONS\n")
	c.InitDefaultHelpFlag()
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { writeFlag(&page, f) })
	fmt.Fprintf(&page, ".SH EXAMPLES\n.EX\n%s\n.EE\n.SH SEE ALSO\n", roff(c.Example))
	var others []string
	if c.HasParent() {
		others = append(others, roff(pageName(c.Parent()))+"(1)")
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		others = append(others, roff(pageName(sub))+"(1)")
		if err := writeManual(sub, dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(&page, strings.Join(others, ",\n"))
	return os.WriteFile(filepath.Join(dir, name+".1"), page.Bytes(), 0o666)
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// writeText writes what a command says of itself: paragraphs, and as they are those that are indented.
func writeText(page *bytes.Buffer, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = c.Short
	}
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		form := ".PP\n%s\n"
		if strings.HasPrefix(paragraph, " ") || strings.HasPrefix(paragraph, "\t") {
			form = ".PP\n.EX\n%s\n.EE\n"
		}
		fmt.Fprintf(page, form, roff(paragraph))
	}
}

// writeFlag writes a flag, the name of its value, what it does, and its default.
func writeFlag(page *bytes.Buffer, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	page.WriteString(".TP\n")
	if f.Shorthand != "" {
		fmt.Fprintf(page, `\fB\-%s\fR, `, f.Shorthand)
	}
	fmt.Fprintf(page, `\fB\-\-%s\fR`, roff(f.Name))
	if value != "" {
		fmt.Fprintf(page, ` \fI%s\fR`, roff(value))
	}
	fmt.Fprintf(page, "\n%s", roff(usage))
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		fmt.Fprintf(page, " (default %s)", roff(f.DefValue))
	}
	page.WriteString("\n")
}

// roff returns text that troff prints as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
