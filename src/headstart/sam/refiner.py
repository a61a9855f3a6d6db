"""``--refine sam``: the regions of a prediction's or an evaluation's images, found once and kept."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from headstart.configs.inference import RefineConfig
from headstart.configs.masks import MasksConfig, SamConfig
from headstart.data.decode import DecodeError
from headstart.errors import RunError
from headstart.inference.inputs import Input
from headstart.inference.ledger import Ledger
from headstart.inference.parts import key_of, short
from headstart.sam.files import read_masks
from headstart.sam.make import Maker, Todo
from headstart.sam.outputs import MaskItem, OutputSettings, plan_mask_outputs
from headstart.sam.refine import MaskRegions
from headstart.sam.runs import coco_mask
from headstart.sam.verb import load_engine, make_all


class SamRefiner:
    """Finds masks as ``headstart masks`` does and keeps their JSON files in ``folder``.

    Files of another model, of other settings or of nobody here are a RunError, unless ``overwrite``; those of the same
    are kept even then, so that another margin needs no masks again.
    """

    def __init__(self, config: RefineConfig, folder: Path, overwrite: bool) -> None:
        self.margin, self.overwrite = config.refine_margin, overwrite
        method = {name: getattr(config.sam, name) for name in SamConfig.model_fields}
        self.config = MasksConfig(**method, out=folder, polygons="none")
        self.items: dict[Input, MaskItem] = {}
        self.reasons: Mapping[Input, str] = {}

    @cached_property
    def _outputs(self) -> OutputSettings:
        return OutputSettings.of(self.config)

    @property
    def settings(self) -> str:
        """A short name of the method, the weights and the margin. WeightsError where there are no such weights."""
        return short(key_of(masks=self._outputs.masks, margin=self.margin))

    def find(self, sources: Sequence[Input]) -> None:
        """Find the masks of the ``sources`` that have none yet.

        RunError, WeightsError or MissingExtraError before anything is written.
        """
        coco_mask()
        items = plan_mask_outputs(sources, self.config)
        todo = [Todo.of_masks(item) for item in items if self._missing(item)]
        if todo:
            engine = load_engine(self.config)
            self.config.out.mkdir(parents=True, exist_ok=True)
            maker = Maker(self.config, engine.generator, Ledger(self.config.out, self.overwrite), self._outputs)
            self.reasons, _ = make_all(maker, todo, items)
        self.items = {item.source: item for item in items}

    def _missing(self, item: MaskItem) -> bool:
        try:
            return not Ledger(self.config.out, False).finished(item.source, item.masks, self._outputs.masks)
        except RunError:
            if not self.overwrite:
                raise
            return True

    def regions(self, source: Input, n_classes: int) -> MaskRegions:
        """The masks of one of the inputs that were given to ``find``. DecodeError where it could not be decoded."""
        if source in self.reasons:
            raise DecodeError(source.path, self.reasons[source])
        image = read_masks(self.config.out / self.items[source].masks)
        return MaskRegions(image.size, image.masks, n_classes, self.margin)
