"""What the page says of flips and turns that were measured."""

from headstart.reports.view_notes import views_note
from headstart.results import PretrainResult, Symmetry, ViewsAudit

AUDIT = ViewsAudit(n_views=512, near_constant_share=0.02, threshold=4.0, warning=None, sheet="views.png")
CHANCES = {"flip": 0.5, "vertical_flip": 0.0, "turn": 0.0}


def note(symmetry: Symmetry | None) -> str:
    return views_note(PretrainResult.model_construct(views=AUDIT, symmetry=symmetry))


def test_nothing_is_said_where_nothing_was_asked() -> None:
    assert note(None).endswith("and teach nothing.")


def test_shares_and_what_follows_from_them() -> None:
    shares = {"left_right": 0.51, "up_down": 0.93, "quarter_turn": 0.99}
    said = note(Symmetry(n_images=1000, told_apart=shares, alike=0.65, chances=CHANCES))
    assert "mirrored 51.0 %, upside down 93.0 %, turned by a quarter 99.0 % (of 1000 images)" in said.replace(
        "\N{NARROW NO-BREAK SPACE}", " "
    )
    assert said.endswith("flip 0.5, vertical flip 0, turn 0.")


def test_too_few_images_are_said_to_be_so() -> None:
    assert "not measured" in note(Symmetry(n_images=0, told_apart={}, alike=0.65, chances=CHANCES))
