"""Training recipes: TOML files, read into frozen values so that a misspelt key is refused."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from vidguard.encoders import ENCODERS, FingerprintEncoder, StagedEncoder
from vidguard.errors import InputError
from vidguard.weights import is_set_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
_LATER: Final = (
    "kinds",
    "fitted",
    "continues",
    "frozen_blocks",
    "bank",
    "seconds_per_video",
    "validation_datasets",
)
_FOLDER: Final = Path(__file__).parent / "recipes"


@dataclass(frozen=True, config=_STRICT)
class MaterialRecipe:
    """How crops are taken from videos."""

    video_frames_per_second: PositiveFloat
    max_frames_per_track: PositiveInt
    validation_groups: tuple[str, ...]
    """Sources kept out of training although a manifest says "train"."""
    meshes: bool
    """Whether to find face meshes (needs `vidguard[train]`), for swaps and expressions that follow a face's shape."""
    temporal_groups: tuple[str, ...]
    """Sources whom only the transformer learns from: of people whom the encoders know, it would learn the people."""
    seconds_per_video: PositiveFloat | None = None
    """How much of a video's beginning is looked at; left out, all of it."""
    validation_datasets: tuple[str, ...] = ()
    """Data sets kept out of training whole, such as generators that are to be judged as nobody trained on them."""


@dataclass(frozen=True, config=_STRICT)
class Draw:
    """One part of the mixture that batches are drawn from."""

    draw: Literal["labelled", "clips", "pairs"]
    """"clips" are labelled ones too, of which a data set, a clip and a frame are drawn in turn."""
    datasets: tuple[str, ...]
    weight: PositiveFloat


Mixture: TypeAlias = Annotated[tuple[Draw, ...], Field(min_length=1)]
"""Parts that batches are drawn from by their weights."""


@dataclass(frozen=True, config=_STRICT)
class Round:
    """One one-cycle schedule; a later round starts from the averaged weights of the one before."""

    steps: PositiveInt
    learning_rate: PositiveFloat


@dataclass(frozen=True, config=_STRICT)
class EncoderRecipe:
    """How one encoder is trained: AdamW in one-cycle rounds, averaged weights kept."""

    rounds: tuple[Round, ...]
    batch: PositiveInt
    weight_decay: NonNegativeFloat
    bfloat16: bool
    ema_decay: Annotated[float, Field(gt=0, lt=1)]
    degraded: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of samples that go through a random degradation: small nets learn nothing where all do."""
    mixture: Mixture | None = None
    """What this encoder's batches are drawn from, where it isn't the recipe's mixture."""
    pretrained: str | None = None
    last_round_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the last round's weights in a mean with the round before's, which holds what a change of the mixture
    would lose of either (Wortsman et al., CVPR 2022); left out, the last round's stand alone."""
    frozen_blocks: NonNegativeInt = 0
    """So many of the first blocks stay as they are; what they make of `bank` samples is kept, and the rest learns from
    that: a third of a step's cost, and none for drawing and degrading."""
    bank: PositiveInt | None = None
    """Samples that a round of an encoder with frozen blocks draws once and goes over again and again."""
    kinds: bool = False
    """Whether it also learns to tell kinds of manipulation apart, by a linear head on its embedding."""


@dataclass(frozen=True, config=_STRICT)
class FitRecipe:
    """How one fingerprint is fitted: at once, to samples drawn as an encoder's are."""

    samples: PositiveInt
    degraded: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=_STRICT)
class TemporalRecipe:
    """How the temporal transformer is trained on sequences of forged pristine tracks."""

    forgeries_per_track: PositiveInt
    epochs: NonNegativeInt
    """0 where the material has no videos: the transformer then passes the frames' logits through, untrained."""
    batch: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    single_frames: tuple[str, ...] | None = None
    """Data sets whose crops stand as tracks of one frame; left out, all that have genuine and fake ones to validate."""


@dataclass(frozen=True, config=_STRICT)
class KindsRecipe:
    """How the set's own head for kinds of manipulation is fitted on the trained encoders' embeddings."""

    samples: PositiveInt
    """Drawn from the recipe's mixture, and half as many from its validation material, to measure what is named."""


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """Everything a weight set's training depends on besides the material."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    description: str
    licence: str
    material: MaterialRecipe
    mixture: Mixture
    encoders: dict[str, EncoderRecipe]
    """Networks by name, trained in rounds."""
    temporal: TemporalRecipe
    fitted: dict[str, FitRecipe] = Field(default_factory=dict)
    """Fingerprints by name, beside the networks or instead of them."""
    kinds: KindsRecipe | None = None
    """Left out, the set names no kinds."""
    continues: str | None = None
    """A weight set that training goes on from: its encoders come before the first round, its transformer first."""

    def __post_init__(self) -> None:
        """Refuse encoders that this version doesn't have, and a name that can't be a weight set's."""
        staged = [name for name, encoder in ENCODERS.items() if issubclass(encoder, StagedEncoder)]
        prints = {name for name, encoder in ENCODERS.items() if issubclass(encoder, FingerprintEncoder)}
        unknown = set(self.encoders) - (set(ENCODERS) - prints) | set(self.fitted) - prints
        if unknown or not self.names:
            known = f"encoders are {', '.join(set(ENCODERS) - prints)}, fitted ones {', '.join(prints)}"
            raise ValueError(f"{known}; not {', '.join(sorted(unknown)) or 'none'}")
        if not all(encoder.rounds for encoder in self.encoders.values()):
            raise ValueError("every encoder needs at least one round")
        earlier = 0 if self.continues is None else 1
        if any(e.last_round_share and len(e.rounds) + earlier < 2 for e in self.encoders.values()):
            raise ValueError("last_round_share needs two rounds, or a set that the recipe continues")
        if self.continues is not None and any(encoder.pretrained for encoder in self.encoders.values()):
            raise ValueError("encoders start either from pretrained weights or from the set that the recipe continues")
        for name, encoder in self.encoders.items():
            if (encoder.bank is None) != (encoder.frozen_blocks == 0):
                raise ValueError("frozen_blocks and bank go together")
            if encoder.frozen_blocks and not issubclass(ENCODERS[name], StagedEncoder):
                raise ValueError(f"{name} has no blocks to freeze; {', '.join(staged)} have")
        if not is_set_name(self.name):
            raise ValueError(
                f"a weight set can't be called {self.name!r}; use up to 64 letters, digits, '.', '-' and '_'"
            )

    def of_encoder(self, encoder: str) -> Recipe:
        """The recipe of the weight set that holds one of the encoders alone and is named after it.

        One that learns kinds of manipulation too is named <encoder>-kind. The encoder is trained just as for the whole
        recipe. Raises InputError on an encoder that the recipe hasn't.
        """
        description = f"{ENCODERS[encoder].__name__}. {self.description}" if encoder in ENCODERS else ""
        name = f"{encoder}-kind" if encoder in self.encoders and self.encoders[encoder].kinds else encoder
        return self.of_encoders((encoder,), name, description)

    def of_encoders(self, encoders: tuple[str, ...], name: str, description: str) -> Recipe:
        """The recipe of a weight set of some of the encoders, each trained just as for the whole recipe.

        Raises InputError on an encoder that the recipe hasn't.
        """
        for encoder in encoders:
            if encoder not in self.names:
                raise InputError(f"{self.name} has no encoder {encoder!r}; it has {', '.join(self.names)}")
        trained = {n: settings for n, settings in self.encoders.items() if n in encoders}
        fitted = {n: settings for n, settings in self.fitted.items() if n in encoders}
        return replace(self, name=name, description=description, encoders=trained, fitted=fitted)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all encoders, trained and fitted."""
        return (*self.encoders, *self.fitted)

    def mixture_of(self, encoder: str) -> tuple[Draw, ...]:
        """What an encoder's batches are drawn from."""
        own = self.encoders[encoder].mixture if encoder in self.encoders else None
        return self.mixture if own is None else own


@dataclass(frozen=True, config=_STRICT)
class Stack:
    """A weight set that stacks encoders of another recipe; a work folder serves both, and what is trained there."""

    name: str
    description: str
    of: str
    """Name of a shipped recipe, or a path."""
    encoders: Annotated[tuple[str, ...], Field(min_length=2)]


def settings_of(recipe: Recipe | EncoderRecipe | MaterialRecipe) -> dict[str, Any]:
    """What goes into digests: settings that there weren't always are left out where they aren't used.

    What was trained before there were any stays valid.
    """
    settings = asdict(recipe)
    for later in _LATER:
        if not settings.get(later, True):
            del settings[later]
    if isinstance(recipe, Recipe):
        settings["material"] = settings_of(recipe.material)
        settings["encoders"] = {name: settings_of(encoder) for name, encoder in recipe.encoders.items()}
    return settings


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe, or a `Stack` of another one's encoders, by the name of a shipped one or by path.

    Raises InputError on a missing or malformed file, and on a stack of a stack.
    """
    found = _read(name_or_path)
    if isinstance(found, Recipe):
        return found
    whole = _read(found.of)
    if isinstance(whole, Stack):
        raise InputError(f"{name_or_path} stacks {found.of}, which is a stack itself; name the recipe that trains them")
    return whole.of_encoders(found.encoders, found.name, found.description)


def _read(name_or_path: str) -> Recipe | Stack:
    path = _FOLDER / f"{name_or_path}.toml" if is_shipped(name_or_path) else Path(name_or_path)
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        if "of" in content:
            return TypeAdapter(Stack).validate_python(content)
        return TypeAdapter(Recipe).validate_python(_spelt_out(content))
    except FileNotFoundError as error:
        names = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.toml")))
        raise InputError(f"no recipe {name_or_path!r}; shipped recipes: {names}; or give a TOML file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise InputError(f"{path} is not a recipe: {error}") from error


def _spelt_out(content: dict[str, Any]) -> dict[str, Any]:
    """Give every encoder the settings of the table [every_encoder] that its own table doesn't state."""
    common, encoders = content.get("every_encoder"), content.get("encoders")
    if not isinstance(common, dict) or not isinstance(encoders, dict):
        return content  # to be refused as it is where it isn't a recipe
    spelt_out = {name: {**common, **own} if isinstance(own, dict) else own for name, own in encoders.items()}
    return {**{k: v for k, v in content.items() if k != "every_encoder"}, "encoders": spelt_out}


def is_shipped(name: str) -> bool:
    """Whether a recipe of this name comes with the package."""
    return (_FOLDER / f"{name}.toml").is_file()
