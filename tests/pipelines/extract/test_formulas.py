"""Formulas come once, as their TeX source or written out."""

import pytest

from tests.pipelines.extract.pages import own_lines

GLYPHS = "<mrow><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></mrow>"
SOURCE = '<annotation encoding="application/x-tex">E=mc^2</annotation>'
MATHML = f"<math xmlns='http://www.w3.org/1998/Math/MathML'><semantics>{GLYPHS}{SOURCE}</semantics></math>"
BARE = f"<math><semantics>{GLYPHS}</semantics></math>"


@pytest.mark.parametrize(
    "formula",
    [
        MATHML,
        BARE,
        f"<math alttext='E=mc^2'>{GLYPHS}</math>",
        f"<span class='katex'><span class='katex-mathml'>{MATHML}</span>"
        "<span class='katex-html' aria-hidden='true'>E=mc2</span></span>",
        f"<span class='katex-display'><span class='katex'>{MATHML}</span></span>",
        "<span class='katex'><span class='katex-html' aria-hidden='true'>E=mc^2</span></span>",
        "<script type='math/tex'>E=mc^2</script>",
        "<script type='math/tex; mode=display'>E=mc^2</script>",
        f"<script type='math/mml'>{BARE}</script>",
        "<span class='MathJax_Preview'>E=</span><span class='MathJax' id='x'><nobr aria-hidden='true'>E=mc2</nobr>"
        f"<span class='MJX_Assistive_MathML'>{BARE}</span></span><script type='math/tex'>E=mc^2</script>",
        f"<span class='MathJax_SVG'><svg><path></path></svg><span class='MJX_Assistive_MathML'>{BARE}</span></span>",
        f'<span class="MathJax" data-mathml="{BARE.replace("<", "&lt;")}"><nobr>E=mc2</nobr></span>',
        f"<mjx-container><svg></svg><mjx-assistive-mml>{BARE}</mjx-assistive-mml></mjx-container>",
        "<mjx-container><mjx-math data-latex='E=mc^2'><mjx-c></mjx-c></mjx-math></mjx-container>",
        "<span class='mwe-math-element'><span class='mwe-math-mathml-inline' style='display: none;'>"
        f"<math alttext='{{\\displaystyle E=mc^2}}'>{GLYPHS}</math></span><img alt='E=mc^2'></span>",
    ],
)
def test_a_formula_comes_once(formula):
    assert own_lines(f"<p>Let {formula} be the law of it.</p>") == ["Let E=mc^2 be the law of it."]


@pytest.mark.parametrize(
    ("mathml", "text"),
    [
        ("<mfrac><mi>a</mi><mi>b</mi></mfrac>", "a/b"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow><mi>b</mi></mfrac>", "(a+1)/b"),
        ("<msub><mi>x</mi><mi>i</mi></msub>", "x_i"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<msup><mi>e</mi><mrow><mo>-</mo><mi>x</mi></mrow></msup>", "e^(-x)"),
        ("<msqrt><mi>x</mi></msqrt>", "√x"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "x^(1/3)"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>", "∑_i^n"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr></mtable>", "1, 2"),
        ("<mi>f</mi><mo>\u2061</mo><mi>x</mi>", "fx"),
        ("<mrow>" * 3000 + "<mi>x</mi>", "x"),
    ],
)
def test_mathml_is_written_out(mathml, text):
    assert own_lines(f"<p>Let <math>{mathml}</math> be the law of it.</p>") == [f"Let {text} be the law of it."]
