"""What a click on the what-if panel does to the store: look elsewhere, or go there."""

from __future__ import annotations

from dataclasses import replace

from hydra_nb.catalog import Catalog
from hydra_nb.errors import InvalidInputError
from hydra_nb.widgets.store import Store
from hydra_nb.widgets.what_if import PRICE_FIELDS, Axis, Price, as_number


def look_at_model(store: Store, model: str) -> None:
    """Show the prices of `model`; `CatalogError` where there is none of this name."""
    with store.lock:
        name = store.catalog[model].name
        store.pick(replace(store.what_if.picks, model=name))


def look_at_map(store: Store, price: str, across: str | None, across_price: str) -> None:
    """Put a price of the model that is shown on the x axis of the map, and τ or a price on y.

    Args:
        store: the store.
        price: "input" or "output".
        across: the model whose price is the y axis; `None` for τ.
        across_price: which of its prices; means nothing for τ.

    Raises:
        InvalidInputError: a price of another name.
        CatalogError: no such model.
    """
    with store.lock:
        y = None if across is None else Axis(store.catalog[across].name, _price(across_price))
        store.pick(replace(store.what_if.picks, price=_price(price), across=y))


def drag_price(store: Store, model: str, field: str, usd: object, drag: str) -> None:
    """Move a price under the hand; see `Store.drag_price`."""
    with store.lock:
        _keep_in_sight(store)
        store.drag_price(model, field, as_number(usd, "a price"), drag)


def go_to(store: Store, x: object, y: object) -> None:
    """Set what the axes of the map stand for to the values of one point; one undo step.

    Raises:
        InvalidInputError: a value that is no number, or a τ below 0.
        CatalogError: a price out of range.
    """
    with store.lock:
        question = store.question
        if question is None:
            raise InvalidInputError("there is no map without a prompt")
        _keep_in_sight(store)
        catalog = _priced(store, question.x, as_number(x, "x"))
        label = f"{question.x.price} price of {question.x.model}"
        if question.y is None:
            store.move_to(catalog, label=label, tau=as_number(y, "τ"))
            return
        field = PRICE_FIELDS[question.y.price]
        catalog = catalog.replace(question.y.model, **{field: as_number(y, "y")})
        store.move_to(catalog, label=f"{label} and {question.y.price} price of {question.y.model}")


def go_to_price(store: Store, model: str, price: str, usd: object) -> None:
    """Set one price to a value inside a band; one undo step."""
    with store.lock:
        _keep_in_sight(store)
        catalog = _priced(store, Axis(model, _price(price)), as_number(usd, "a price"))
        store.move_to(catalog, label=f"{price} price of {model}")


def try_flip(store: Store, sentence: str) -> None:
    """Make one of the changes on screen, named by its sentence.

    Raises:
        InvalidInputError: it is not among those of the decision on screen.
    """
    with store.lock:
        answer, question = store.what_if.answer, store.question
        found = answer.flips if answer is not None and answer.question == question else None
        flip = next((flip for flip in found or () if flip.sentence == sentence), None)
        if flip is None:
            raise InvalidInputError("the decision has changed meanwhile; choose again")
        if flip.model is None:
            store.set(tau=float(flip.flipped_value))
        else:
            catalog = store.catalog.replace(flip.model, **{flip.field: flip.flipped_value})
            store.move_to(catalog, label=f"{flip.field} of {flip.model}")


def _keep_in_sight(store: Store) -> None:
    """Keep showing the model that is shown: by a change of its price another may be chosen."""
    question, picks = store.question, store.what_if.picks
    if question is not None and picks.model != question.x.model:
        store.what_if = replace(store.what_if, picks=replace(picks, model=question.x.model))


def _priced(store: Store, axis: Axis, usd: float) -> Catalog:
    return store.catalog.replace(axis.model, **{PRICE_FIELDS[axis.price]: usd})


def _price(price: str) -> Price:
    for known in PRICE_FIELDS:
        if price == known:
            return known
    raise InvalidInputError(f'price must be "input" or "output"; received {price!r:.80}')
