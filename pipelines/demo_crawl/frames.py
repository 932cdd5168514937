"""The page frames of the sites: the body among menus, side bars, advertisements, comments and banners.

Placeholders: `content` is the body; `name`, `menu`, `footer` and `cookies` are the site's; `related`, `comments`,
`advert`, `second_advert` vary.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_SHARE = """<div class="share social"><a href="#s1">Share</a> <a href="#s2">Tweet</a> <a href="#s3">Print</a></div>"""

_TRACKER = """<script>window.metrics=window.metrics||[];metrics.push([document.title,Date.now()]);</script>"""

_WIKI = """<body class="wiki">
<header><a href="/">{name}</a></header>
<div id="column-one"><nav><ul>{menu}</ul></nav></div>
<main id="main" class="content">
<article>
{content}
</article>
</main>
<aside class="sidebar"><h3>See also</h3><ul>{related}</ul></aside>
{footer}
{cookies}
</body>
"""

_COLUMNS = f"""<body>
{{cookies}}
<div class="header"><nav class="navbar"><ul>{{menu}}</ul></nav></div>
<div class="container"><div class="row">
<div class="sidebar widget"><h4>Popular</h4><ul>{{related}}</ul>{{advert}}</div>
<div class="content" id="content">
{{content}}
</div>
</div></div>
{_SHARE}
{{comments}}
{{footer}}
</body>
"""

_PAPER = f"""<body class="news">
<header class="masthead"><h2 class="logo">{{name}}</h2><nav><ul>{{menu}}</ul></nav></header>
{{advert}}
<main>
<article class="story">
{{content}}
</article>
{_SHARE}
</main>
<aside class="related"><h3>Read next</h3><ul>{{related}}</ul></aside>
{{comments}}
{{second_advert}}
{{footer}}
{_TRACKER}
</body>
"""

_BLOG = f"""<body>
<div id="page">
<nav id="site-navigation" class="menu"><ul>{{menu}}</ul></nav>
<article class="post hentry"><div class="entry-content">
{{content}}
</div></article>
{_SHARE}
<div class="newsletter"><p>Get our letter by mail.</p><form><input type="email"><button>Subscribe</button></form></div>
{{comments}}
<div class="sidebar"><h4>Archive</h4><ul>{{related}}</ul></div>
</div>
{{footer}}
{{cookies}}
</body>
"""

_BOARD = f"""<body class="board">
<div class="topbar"><ul class="nav">{{menu}}</ul></div>
<div class="breadcrumb"><a href="/">Index</a> » <a href="/t">Topics</a></div>
<main role="main">
<div class="thread content">
{{content}}
</div>
</main>
{{advert}}
<div class="sidebar"><h4>Active topics</h4><ul>{{related}}</ul></div>
{{footer}}
{_TRACKER}
</body>
"""

_SHOP = """<body class="shop">
<div class="popup modal"><p>Wait! There is more for you on {name}!</p><button>Close</button></div>
<div class="nav header"><ul>{menu}</ul></div>
{advert}
<div class="content main">
{content}
</div>
{second_advert}
<div class="sidebar"><ul>{related}</ul></div>
{cookies}
{footer}
</body>
"""

FRAMES: Mapping[str, str] = MappingProxyType(
    {"wiki": _WIKI, "columns": _COLUMNS, "paper": _PAPER, "blog": _BLOG, "board": _BOARD, "shop": _SHOP}
)

HEAD = """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="{charset}">
<title>{title} - {name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/assets/{frame}.css?v={version}">
<script>{script}</script>
</head>
"""

SCRIPTS: Mapping[str, str] = MappingProxyType(
    {
        "wiki": 'var conf={"skin":"vector","ns":0};document.documentElement.className="js";',
        "columns": "function toggle(e){var m=document.getElementById(e);m.hidden=!m.hidden}",
        "paper": '(function(d){var s=d.createElement("script");s.src="/js/paper.js";d.head.appendChild(s)})(document);',
        "blog": 'var blog={theme:"plain",lazy:true};if(window.top!==window.self){window.top.location="/"}',
        "board": "var session=null;function quote(n){location.hash='post'+n}",
        "shop": "var cart=[];function add(n){cart.push(n);if(cart.length>9){alert('Full!')}}",
    }
)
