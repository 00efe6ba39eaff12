"""What holds for every metric of the room, found by walking it: a new file is tested without an edit here."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pickle
import re
from collections.abc import Callable

import matplotlib as mpl
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from georanker.discovery import classes
from georanker.metrics.base import GeoMetric, ListMetric, PlaceMetric

Batch = tuple[Tensor, ...]
MakeBatch = Callable[[int, int], Batch]

METRICS: list[type[GeoMetric]] = [
    found for found in classes("georanker.metrics") if issubclass(found, GeoMetric) and not inspect.isabstract(found)
]
LIST_METRICS = [found for found in METRICS if issubclass(found, ListMetric)]
WITH_RADII = [found for found in METRICS if "radii_km" in inspect.signature(found).parameters]

every_metric = pytest.mark.parametrize("cls", METRICS, ids=lambda cls: cls.__name__)
every_list_metric = pytest.mark.parametrize("cls", LIST_METRICS, ids=lambda cls: cls.__name__)
every_metric_with_radii = pytest.mark.parametrize("cls", WITH_RADII, ids=lambda cls: cls.__name__)


@pytest.fixture
def batches(places: MakeBatch, lists: MakeBatch) -> Callable[[type[GeoMetric]], list[Batch]]:
    """Three uneven batches of what a metric takes."""

    def make(cls: type[GeoMetric]) -> list[Batch]:
        batch = places if issubclass(cls, PlaceMetric) else lists
        return [batch(5, 0), batch(1, 1), batch(40, 2)]

    return make


MakeBatches = Callable[[type[GeoMetric]], list[Batch]]


def twin(cls: type[GeoMetric]) -> Callable[..., Tensor]:
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
    found: Callable[..., Tensor] = getattr(importlib.import_module(cls.__module__), name)
    return found


def joined(batches: list[Batch]) -> Batch:
    return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))


def result(metric: GeoMetric, batches: list[Batch]) -> Tensor:
    for batch in batches:
        metric.update(*batch)
    figures: Tensor = metric.compute()
    return figures


def misses(cls: type[GeoMetric]) -> Batch:
    if issubclass(cls, PlaceMetric):
        return torch.tensor([[80.0, 0.0], [70.0, 0.0]]), torch.tensor([[-80.0, 0.0], [-70.0, 0.0]])
    return torch.tensor([[2.0, 1.0]]), torch.tensor([[9000.0, 9000.0]]), torch.ones(1, 2).bool()


def test_the_room_holds_both_kinds() -> None:
    assert len(METRICS) >= 9
    assert {PlaceMetric, ListMetric} == {cls.__mro__[1] for cls in METRICS}


@every_metric
def test_many_batches_equal_one_equal_the_twin(cls: type[GeoMetric], batches: MakeBatches) -> None:
    many = result(cls(), batches(cls))
    one = result(cls(), [joined(batches(cls))])
    by_function = twin(cls)(*joined(batches(cls)))
    assert many.dtype == torch.float64
    torch.testing.assert_close(many, one, rtol=1e-12, atol=0, equal_nan=True)
    torch.testing.assert_close(many, by_function, rtol=1e-12, atol=0, equal_nan=True)


@every_metric
def test_the_twin_takes_what_the_class_takes(cls: type[GeoMetric]) -> None:
    settings = inspect.signature(cls).parameters
    inputs = [name for name in inspect.signature(cls.update).parameters if name != "self"]
    assert list(inspect.signature(twin(cls)).parameters) == [*inputs, *settings]
    for name, parameter in settings.items():
        assert parameter.default == inspect.signature(twin(cls)).parameters[name].default


@every_metric
def test_forward_gives_the_batch_and_adds_it(cls: type[GeoMetric], batches: MakeBatches) -> None:
    metric = cls()
    for batch in batches(cls):
        torch.testing.assert_close(metric(*batch), twin(cls)(*batch), rtol=1e-12, atol=0, equal_nan=True)
    torch.testing.assert_close(metric.compute(), twin(cls)(*joined(batches(cls))), rtol=1e-12, atol=0, equal_nan=True)


@every_metric
def test_order_of_photos_does_not_matter(cls: type[GeoMetric], batches: MakeBatches) -> None:
    batch = joined(batches(cls))
    order = torch.randperm(len(batch[0]), generator=torch.Generator().manual_seed(0))
    shuffled = tuple(part[order] for part in batch)
    torch.testing.assert_close(twin(cls)(*shuffled), twin(cls)(*batch), rtol=1e-12, atol=0, equal_nan=True)


@every_metric
def test_figures_lie_within_the_bounds(cls: type[GeoMetric], batches: MakeBatches) -> None:
    figures = torch.cat([twin(cls)(*batch).reshape(-1) for batch in batches(cls)])
    figures = figures[figures.isfinite()]
    assert len(figures)
    if cls.plot_lower_bound is not None:
        assert (figures >= cls.plot_lower_bound).all()
    if cls.plot_upper_bound is not None:
        assert (figures <= cls.plot_upper_bound).all()


@every_metric
def test_before_any_photo_and_after_none_it_is_nan(cls: type[GeoMetric], batches: MakeBatches) -> None:
    metric = cls()
    assert metric.compute().isnan().all()  # and warns of nothing: warnings are errors here
    nothing = tuple(part[:0] for part in batches(cls)[0])
    assert result(cls(), [nothing]).isnan().all()
    assert twin(cls)(*nothing).isnan().all()
    metric.update(*batches(cls)[2])
    metric.reset()
    assert metric.compute().isnan().all()


@every_metric
def test_pickle_and_state_dict_keep_the_sums(cls: type[GeoMetric], batches: MakeBatches) -> None:
    expected = result(cls(), batches(cls))
    metric = cls()
    metric.persistent(True)
    metric.update(*batches(cls)[0])
    by_pickle = pickle.loads(pickle.dumps(metric))
    by_state = cls()
    by_state.persistent(True)
    by_state.load_state_dict(metric.state_dict())
    for copy in (by_pickle, by_state):
        torch.testing.assert_close(result(copy, batches(cls)[1:]), expected, rtol=1e-12, atol=0, equal_nan=True)


@every_metric
def test_types_of_a_model_do_not_reach_the_sums(cls: type[GeoMetric], batches: MakeBatches) -> None:
    expected = result(cls(), batches(cls))
    metric = cls()
    metric.update(*batches(cls)[0])
    model = nn.ModuleDict({"metric": metric})
    model.to(torch.bfloat16).half().to(dtype=torch.float16).to("cpu")
    assert {state.dtype for state in metric.metric_state.values() if isinstance(state, Tensor)} <= {
        torch.float64,
        torch.long,
    }
    torch.testing.assert_close(result(metric, batches(cls)[1:]), expected, rtol=0, atol=0, equal_nan=True)


@every_metric
def test_states_follow_the_device(cls: type[GeoMetric]) -> None:
    metric = cls().to("meta")
    assert metric.device.type == "meta"
    assert all(state.is_meta for state in metric.metric_state.values() if isinstance(state, Tensor))


@every_metric
def test_inference_mode_and_training_mix(cls: type[GeoMetric], batches: MakeBatches) -> None:
    metric = cls()
    first, *others = batches(cls)
    with torch.inference_mode():
        metric.reset()
        metric.update(*first)
    expected = twin(cls)(*joined(batches(cls)))
    torch.testing.assert_close(result(metric, others), expected, rtol=1e-12, atol=0, equal_nan=True)


@every_metric
def test_yaml_builds_it_from_its_own_settings_only(cls: type[GeoMetric]) -> None:
    kind = PlaceMetric if issubclass(cls, PlaceMetric) else ListMetric
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "metric")
    settings = {"radii_km": [5, 50]} if cls in WITH_RADII else {}
    config = parser.parse_object({"metric": {"class_path": cls.__name__, "init_args": settings}})
    built = parser.instantiate(config).metric
    assert isinstance(built, cls)
    init_args = config.metric.get("init_args")
    assert set(vars(init_args) if init_args else ()) == set(inspect.signature(cls).parameters)


@every_metric
def test_figures_have_names_and_plots(cls: type[GeoMetric], batches: MakeBatches) -> None:
    mpl.use("Agg")
    metric = cls()
    named = metric.named(result(metric, batches(cls)))
    assert list(named) == list(metric.labels)
    assert all(figure.shape == () for figure in named.values())
    for values in (None, metric.compute(), [metric.compute()] * 2):
        figure, _ = metric.plot(values)
        mpl.pyplot.close(figure)


def test_labels_are_unique() -> None:
    labels = [label for cls in METRICS for label in cls().labels]
    assert len(labels) == len(set(labels))


@every_metric_with_radii
def test_collections_keep_radii_apart_after_a_batch_of_misses(cls: type[GeoMetric], batches: MakeBatches) -> None:
    radii = (1.0, 100.0, 400.0, 1000.0, 5000.0)
    data = [misses(cls), *batches(cls)]
    build: Callable[..., GeoMetric] = cls
    collection = MetricCollection(dict[str, Metric | MetricCollection]({"all": build(radii_km=radii)}))
    collection.add_metrics({f"{radius:g}": build(radii_km=(radius,)) for radius in radii})
    for batch in data:
        collection.update(*batch)
    figures = collection.compute()
    expected = result(build(radii_km=radii), data)
    torch.testing.assert_close(figures["all"], expected, equal_nan=True)
    for column, radius in enumerate(radii):
        torch.testing.assert_close(figures[f"{radius:g}"], expected[column : column + 1], equal_nan=True)


@pytest.mark.parametrize("kind", [PlaceMetric, ListMetric])
def test_collections_keep_metrics_apart_after_a_batch_of_misses(kind: type[GeoMetric], batches: MakeBatches) -> None:
    found = [cls for cls in METRICS if issubclass(cls, kind)]
    data = [misses(kind), *batches(kind)]
    collection = MetricCollection({cls.__name__: cls() for cls in found})
    for batch in data:
        collection.update(*batch)
    figures = collection.compute()
    for cls in found:
        torch.testing.assert_close(figures[cls.__name__], result(cls(), data), equal_nan=True)


def test_no_two_metrics_have_states_that_a_collection_may_take_for_the_same() -> None:
    for first, second in itertools.combinations(METRICS, 2):
        assert first().metric_state.keys() != second().metric_state.keys(), (first, second)


@every_metric_with_radii
@pytest.mark.parametrize("radii", [(), (0.0, 1.0), (-1.0,), (5.0, 1.0), (1.0, 1.0), (1.0, torch.inf), (torch.nan,)])
def test_radii_must_be_positive_and_rise(cls: Callable[..., GeoMetric], radii: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="radii_km must be positive kilometres in rising order"):
        cls(radii_km=radii)


@every_list_metric
def test_padding_may_hold_anything_anywhere(cls: type[GeoMetric], lists: MakeBatch) -> None:
    scores, distances_km, mask = lists(20, 3)
    expected = twin(cls)(scores, distances_km, mask)
    padding = ~nn.functional.pad(mask, (2, 3), value=False)
    for junk in (torch.nan, torch.inf, -torch.inf, 1e30, -7.0):
        padded = [nn.functional.pad(part, (2, 3)).masked_fill(padding, junk) for part in (scores, distances_km)]
        torch.testing.assert_close(twin(cls)(*padded, ~padding), expected, rtol=1e-12, atol=0, equal_nan=True)


@every_list_metric
def test_order_of_candidates_matters_only_to_ties_and_the_first(cls: type[GeoMetric], lists: MakeBatch) -> None:
    _, distances_km, mask = lists(20, 4)
    random = torch.Generator().manual_seed(4)
    scores = torch.randn(20, 8, generator=random)
    mask[:, 0] = True
    distances_km = distances_km.nan_to_num(nan=3.0)
    # The first stays first, since it is the retriever's choice.
    order = torch.cat([torch.zeros(20, 1).long(), torch.rand(20, 7, generator=random).argsort(1) + 1], 1)
    shuffled = tuple(part.gather(1, order) for part in (scores, distances_km, mask))
    expected = twin(cls)(scores, distances_km, mask)
    torch.testing.assert_close(twin(cls)(*shuffled), expected, rtol=1e-12, atol=0, equal_nan=True)


@every_list_metric
def test_half_precision_scores_are_ranked_as_float32(cls: type[GeoMetric], lists: MakeBatch) -> None:
    scores, distances_km, mask = lists(20, 5)
    coarse = scores.bfloat16()
    torch.testing.assert_close(
        twin(cls)(coarse, distances_km, mask), twin(cls)(coarse.float(), distances_km, mask), equal_nan=True
    )


@every_list_metric
def test_gradients_stay_with_the_loss(cls: type[GeoMetric], lists: MakeBatch) -> None:
    scores, distances_km, mask = lists(20, 6)
    metric = cls()
    assert not metric(scores.requires_grad_(), distances_km, mask).requires_grad
    assert not any(s.requires_grad for s in metric.metric_state.values() if isinstance(s, Tensor))
