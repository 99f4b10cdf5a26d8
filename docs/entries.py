"""Entries of functions and classes, from signatures, docstrings and docments, as directives for Sphinx."""

import inspect
import re

from fastcore.docments import docments


class Literal(str):
    """A text that stands in a signature without quotes."""

    __repr__ = str.__str__


def default_text(value) -> Literal:
    """Write a default as Python would, or by name where that is no expression."""
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, list, dict))
    plain = plain or type(value).__module__ == "torch"
    return Literal(repr(value) if plain else getattr(value, "__name__", "..."))


def signature(
    thing,  # function or class
    bound: bool = False,  # leave out the first parameter
) -> str:
    """Write names and defaults; types stand in the list of parameters."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return "()"
    shown = []
    for p in list(inspect.signature(thing).parameters.values())[bound:]:
        default = p.empty if p.default is p.empty else default_text(p.default)
        shown.append(p.replace(annotation=p.empty, default=default))
    return str(inspect.Signature(shown))


def type_name(annotation) -> str:
    """Write a type in a few words; empty where there is none."""
    if annotation in (inspect.Parameter.empty, None, type(None)):
        return ""
    name = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+", "", name)


def parameters(
    thing,  # function or class
    bound: bool = False,  # leave out the first parameter
) -> list:  # of lines
    """List what a docment says of each parameter and of the result."""
    lines = []
    for name, said in list(docments(thing, full=True).items())[bound:]:
        kind = type_name(said.anno)
        if name == "self" or not (kind or said.docment):
            continue
        kind = f" `{kind}`" if kind else ""
        title = "returns" if name == "return" else f"**{name}**"
        lines.append(f"- {title}{kind}{': ' if said.docment else ''}{said.docment or ''}")
    return lines


def members(
    cls,
    module: str,
) -> list:  # of texts
    """Write an entry for each public method and property that a class defines."""
    texts = []
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        function = getattr(member, "fget", None) or getattr(member, "func", None)
        if function or isinstance(member, (classmethod, staticmethod)) or inspect.isfunction(member):
            bound = not isinstance(member, staticmethod)
            function_of = function or getattr(member, "__func__", member)
            kind = "property" if function else "method"
            texts.append(entry(f"{cls.__name__}.{name}", function_of, module, kind, bound))
    return texts


def entry(
    name: str,  # in its module
    thing,  # the function or class
    module: str,
    kind: str = "",  # of directive; empty: as the thing is
    bound: bool = False,  # leave out the first parameter
) -> str:
    """Write the entry of a function or class, with its methods."""
    kind = kind or ("class" if inspect.isclass(thing) else "function")
    head = name if kind == "property" else name + signature(thing, bound)
    docstring = inspect.getdoc(thing) if thing.__doc__ else ""
    body = [docstring, "" if kind == "property" else "\n".join(parameters(thing, bound))]
    if kind == "class":
        body += members(thing, module)
    fence = ":" * (5 if kind == "class" else 4)
    text = "\n\n".join(part for part in body if part)
    return f"{fence}{{py:{kind}}} {head}\n:module: {module}\n\n{text}\n{fence}"
