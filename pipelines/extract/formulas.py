"""Formulas of a page as text, each once: MathML, KaTeX and MathJax write a formula in up to three forms.

The TeX source stands for a formula where the page has it; otherwise the MathML is written out in a line, such as
`x^2` or `(a+b)/c`. The rendered form beside it is left out.
"""

from __future__ import annotations

import re

from resiliparse.parse.html import ElementNode, HTMLTree, Node

_SCRIPTS = 'script[type^="math/"]'
_RENDERED_BESIDE_SCRIPTS = (
    ".MathJax, .MathJax_Display, .MathJax_Preview, .MathJax_SVG, .MathJax_SVG_Display, .MathJax_CHTML, .mjx-chtml"
)
_RENDERED = f".katex, mjx-container, {_RENDERED_BESIDE_SCRIPTS}"
_DISPLAY_STYLE = re.compile(r"\{\\(?:display|text|script)style\s*(.*)\}", re.DOTALL)
_INVISIBLE = str.maketrans(dict.fromkeys("\u2061\u2062\u2063\u2064\u200b"))
_MAX_DEPTH = 40
_PAIRS = {"msup": "{0}^{1}", "mover": "{0}^{1}", "msub": "{0}_{1}", "munder": "{0}_{1}", "mfrac": "{0}/{1}"}
_TRIPLES = ("msubsup", "munderover")


def put_formulas_as_text(tree: HTMLTree) -> None:
    """Replace each formula in the tree by its text."""
    document = tree.document
    if document is None:
        return
    scripts = document.query_selector_all(_SCRIPTS).values()
    if scripts:
        for rendered in document.query_selector_all(_RENDERED_BESIDE_SCRIPTS).values():
            rendered.remove()
    for script in scripts:
        source = script.text or ""
        _replace(tree, script, _mathml_text(source) if "mml" in (script.getattr("type") or "") else source)
    for rendered in document.query_selector_all(_RENDERED).values():
        if _is_attached(rendered):
            _replace(tree, rendered, _rendered_text(rendered))
    for formula in document.query_selector_all("math").values():
        if _is_attached(formula):
            _replace(tree, _with_hidden_parent(formula), formula_text(formula))


def formula_text(formula: ElementNode) -> str:
    """Return the TeX source that a `<math>` element names, or its content in a line."""
    for annotation in formula.query_selector_all("annotation").values():
        if "tex" in (annotation.getattr("encoding") or "").lower():
            return _bare_tex(annotation.text or "")
    return _bare_tex(formula.getattr("alttext") or "") or _written_out(formula, 0)


def _rendered_text(rendered: ElementNode) -> str:
    formula = rendered.query_selector("math")
    if formula is not None:
        return formula_text(formula)
    for name in ("data-latex", "data-tex"):
        holder = rendered if rendered.hasattr(name) else rendered.query_selector(f"[{name}]")
        if holder is not None:
            return holder.getattr(name) or ""
    if mathml := rendered.getattr("data-mathml"):
        return _mathml_text(mathml)
    return rendered.text or rendered.getattr("aria-label") or ""


def _mathml_text(source: str) -> str:
    formula = HTMLTree.parse(source).document.query_selector("math")  # type: ignore[union-attr]
    return "" if formula is None else formula_text(formula)


def _bare_tex(source: str) -> str:
    source = source.strip()
    wrapped = _DISPLAY_STYLE.fullmatch(source)
    return wrapped[1].strip() if wrapped else source


def _written_out(node: Node, depth: int) -> str:
    """Return MathML in a line; what is nested deeper than `_MAX_DEPTH` comes as its bare text."""
    if not isinstance(node, ElementNode) or depth > _MAX_DEPTH:
        return " ".join((node.text or "").translate(_INVISIBLE).split())
    name = (node.local_name or "").lower()
    if name in ("annotation", "annotation-xml", "mphantom"):
        return ""
    if name == "mspace":
        return " "
    children = node.children.values()
    if name == "semantics":
        children = children[:1]
    parts = [_written_out(child, depth + 1) for child in (children or node.child_nodes.values())]
    if name in _PAIRS and len(parts) == 2:
        return _PAIRS[name].format(*map(_grouped, parts))
    if name in _TRIPLES and len(parts) == 3:
        return "{}_{}^{}".format(*map(_grouped, parts))
    if name == "mroot" and len(parts) == 2:
        return f"{_grouped(parts[0])}^(1/{_grouped(parts[1])})"
    if name == "msqrt":
        return f"√{_grouped(''.join(parts))}"
    if name == "mfenced":
        return f"({', '.join(parts)})"
    return {"mtr": ", ", "mtable": "; "}.get(name, "").join(parts)


def _grouped(text: str) -> str:
    is_one = len(text) == 1 or text.isalnum() or (text[:1] + text[-1:] == "()" and text.count("(") == 1)
    return text if is_one else f"({text})"


def _with_hidden_parent(formula: ElementNode) -> ElementNode:
    """Return the formula, or the element around it alone that hides it from those who see the rendered form."""
    parent = formula.parent_element
    is_hidden = parent is not None and (
        "none" in (parent.getattr("style") or "")
        or parent.getattr("aria-hidden") == "true"
        or "mathml" in (parent.class_name or "").lower()
    )
    return parent if is_hidden and parent is not None else formula


def _replace(tree: HTMLTree, element: ElementNode, text: str) -> None:
    if (node := tree.create_text_node(text)) is not None and element.parent_node is not None:
        element.replace_with(node)


def _is_attached(node: Node) -> bool:
    ancestor: Node | None = node
    while (parent := ancestor.parent_node if ancestor is not None else None) is not None:
        ancestor = parent
    return ancestor is not None and ancestor.node_name == "#document"
