"""What the loop trains when it trains a segmentation: crops, a loss over pixels, and looks at the validation images."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from headstart.configs.segment import SegmentConfig
from headstart.data.crops import CropView, PairsDataset
from headstart.data.loaders import Batching, MicroBatches, training_loader, worker_count
from headstart.models.losses import build_loss
from headstart.models.segmenters import Segmenter
from headstart.tasks.segment.data import SegmentData
from headstart.tasks.segment.looks import Examiner, Tally, Visitor, new_tally
from headstart.tasks.segment.masks import MaskKeeper, make_keeper
from headstart.training.fit import Job
from headstart.training.loop import Batch, Look, Plan, looks_at
from headstart.training.session import Session
from headstart.training.state import TrainState


@dataclass(frozen=True)
class Segmenting:
    """A segmenter with the data it learns from and is examined on; ``job`` is what ``fit`` wants to know."""

    config: SegmentConfig
    session: Session
    data: SegmentData
    segmenter: Segmenter
    final: list[Tally] = field(default_factory=list)
    """The tally of the last epoch, once the training has come there."""

    @cached_property
    def crops(self) -> PairsDataset:
        """Training crops with their masks."""
        config, data = self.config, self.data
        view = CropView(config.crops, config.image_size, self.segmenter.mean, self.segmenter.std)
        return PairsDataset(
            data.train, data.palette, view, config.seed, self.ignore, config.crops.per_image, config.nearest_colour
        )

    @property
    def ignore(self) -> int:
        """Label of pixels that the loss leaves out: the ignored class's, or, where that is learned, one of its own."""
        return self.segmenter.n_outputs

    @cached_property
    def examiner(self) -> Examiner:
        """Predicts the validation images."""
        return Examiner(self.data.val, self.data.palette, self.config.image_size, self.config.nearest_colour)

    def job(self) -> Job:
        """The training."""
        config = self.config
        encoder = {id(parameter) for parameter in self.segmenter.encoder.parameters()}
        in_encoder = {name for name, parameter in self.segmenter.named_parameters() if id(parameter) in encoder}
        return Job(
            module=self.segmenter,
            n_images=len(self.crops),
            task_of=lambda plan: Segmentation(self, plan, self.criterion(), self.keeper(plan.epochs)),
            batches_of=self.batches_of,
            min_steps=config.min_steps,
            lr_scale=lambda name: config.encoder_lr if name in in_encoder else 1.0,
        )

    def batches_of(self, batching: Batching, steps: range) -> Iterator[Batch]:
        """Micro-batches [crops (B, 3, S, S), masks (B, S, S)] of this process."""
        config, fabric = self.config, self.session.fabric
        rank, world = fabric.global_rank, fabric.world_size
        sampler = MicroBatches(batching, config.seed, steps, rank=rank, world=world)
        for crops, masks, _ in training_loader(self.crops, sampler, worker_count(config.workers), config.file_seconds):
            yield [crops.contiguous(memory_format=torch.channels_last), masks]

    def criterion(self) -> nn.Module:
        """The loss, on the device."""
        pixels = self.data.class_pixels[: self.segmenter.n_outputs]
        loss = build_loss(self.config.loss, self.segmenter.n_outputs, self.ignore, pixels)
        return loss.to(self.session.fabric.device)

    def look(self, module: nn.Module, boundaries: bool, *visitors: Visitor) -> Tally:
        """Predict the validation images and count; ``visitors`` see them too."""
        tally = new_tally(self.data.palette, boundaries)
        with self.session.fabric.autocast():
            self.examiner.examine(module, tally.visit, *visitors)
        return tally

    def keeper(self, epochs: int) -> MaskKeeper:
        """Keeps masks over a training of ``epochs``."""
        return make_keeper(self.session.run.root / "masks", self.config, self.data.val, self.data.palette, epochs)


@dataclass(frozen=True)
class Segmentation:
    """The task of the loop."""

    of: Segmenting
    plan: Plan
    criterion: nn.Module
    keeper: MaskKeeper

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        value: Tensor = self.criterion(model(batch[0]), batch[1])
        return value

    def after_step(self, module: nn.Module, step: int) -> dict[str, float]:
        return {}

    def at_a_tenth(self, state: TrainState) -> Look | None:
        return None

    def at_epoch_end(self, state: TrainState, epoch: int) -> Look | None:
        keep = epoch in self.keeper.epochs
        if not keep and epoch not in looks_at(self.plan.epochs, self.of.config.evaluations):
            return None
        keep &= self.of.session.first
        last = epoch == self.plan.epochs
        tally = self.of.look(state.module, last, *([self.keeper.visitor(epoch)] if keep else []))
        if last:
            self.of.final.append(tally)
        scores = tally.scorer.scores(self.of.config.protocol)
        named = {"miou": scores.miou, "pixel_accuracy": scores.pixel_accuracy, "dice": scores.mean_dice}
        return Look({"val": {name: value for name, value in named.items() if value is not None}}, scores.miou)
