"""The report as one HTML page that needs nothing else: pictures embedded, no script, no address of anything outside."""
import base64
import html

# Marks a folder as a report, which may be replaced.
GENERATOR = '<meta name="generator" content="partita-report">'
CSS = """
body { font: 16px/1.5 "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
       max-width: 60rem; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: 1rem 0 .2rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; border-bottom: 2px solid #0072b2; }
h3 { font-size: 1.08rem; margin: 1.6rem 0 .3rem; }
a { color: #005a8e; }
nav ul { columns: 2; padding-left: 1.2rem; margin: .5rem 0; }
figure { margin: .8rem 0 1.4rem; }
figure img { max-width: 100%; height: auto; }
figcaption, .note { color: #444; font-size: .9rem; }
.note { border-left: 4px solid #e69f00; padding: .3rem .8rem; background: #fdf6e7; }
.wrong { border-color: #d55e00; background: #fdeee6; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin: .4rem 0 1.2rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .2rem; }
th, td { padding: .18rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #777; }
.long td { overflow-wrap: anywhere; }
tbody th { font-weight: 500; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: #f6f6f6; padding: .7rem; font-size: .82rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  figure, tr, .note { break-inside: avoid; }
  nav { display: none; }
  h2, h3, caption { break-after: avoid; }
  .wide { overflow: visible; }
  table { max-width: 100%; font-size: 7.5pt; }
  th, td, td.number { padding: .12rem .3rem; white-space: normal; overflow-wrap: anywhere; }
}
"""


def escape(value):
    return html.escape(str(value))


class Page:
    """Collects sections in order, and a table of contents."""

    def __init__(self, title):
        self.title, self.parts, self.contents = title, [], []

    def section(self, title):
        anchor = f"section-{len(self.contents) + 1}"
        self.contents.append((anchor, title))
        self.parts.append(f'<h2 id="{anchor}">{escape(title)}</h2>')

    def heading(self, text):
        self.parts.append(f"<h3>{escape(text)}</h3>")

    def text(self, text):
        self.parts.append(f"<p>{escape(text)}</p>")

    def note(self, text, wrong=False):
        self.parts.append(f'<p class="note{" wrong" if wrong else ""}">{escape(text)}</p>')

    def picture(self, picture, svg, files):
        """`files`: names of the same picture beside the page, for papers and slides."""
        source = base64.b64encode(svg).decode("ascii")
        width, height = (round(96 * inches) for inches in picture.figure.get_size_inches())
        links = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in files)
        self.heading(picture.title)
        self.parts.append(f'<figure><img src="data:image/svg+xml;base64,{source}" width="{width}" height="{height}"'
                          f' alt="{escape(picture.alt)}">\n<figcaption>{escape(picture.caption)} Files: {links}.</figcaption>'
                          "</figure>")

    def table(self, caption, header, rows, long=False):
        """Numbers are given as (text,) and set to the right; `long` texts, such as hashes, may break anywhere."""
        def cell(value):
            if isinstance(value, tuple):
                return f'<td class="number">{escape(value[0])}</td>'
            return f"<td>{escape(value)}</td>"
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
        body = "\n".join(f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(map(cell, row[1:])) + "</tr>" for row in rows)
        self.parts.append(f'<div class="{"wide long" if long else "wide"}"><table><caption>{escape(caption)}</caption>\n'
                          f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>")

    def preformatted(self, summary, text):
        self.parts.append(f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>")

    def html(self):
        contents = "".join(f'<li><a href="#{anchor}">{escape(title)}</a></li>' for anchor, title in self.contents)
        return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
{GENERATOR}
<link rel="icon" href="data:,">
<title>{escape(self.title)}</title>
<style>{CSS}</style>
</head>
<body>
<h1>{escape(self.title)}</h1>
<nav aria-label="Contents"><ul>{contents}</ul></nav>
<main>
{chr(10).join(self.parts)}
</main>
</body>
</html>
"""
