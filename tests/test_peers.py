"""Distances and scores agree with those of torchmetrics and torch-fidelity on the same features."""

import warnings

import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from motionrepro.core import generator
from motionrepro.metrics.frechet import FeatureStatistics, frechet_distance
from motionrepro.metrics.scores import dealt_parts, inception_score

D = 48


def features(n, key, shift=0.0):
    """Features that are correlated, and no Gaussian."""
    mixing = torch.randn(D, D, generator=generator("mixing"), dtype=torch.float64)
    raw = torch.randn(n, D, generator=generator("features", key), dtype=torch.float64)
    return (raw @ mixing).relu() + shift


def distance(*sets):
    """Our distance of two sets, with the covariances of theirs."""
    moments = []
    for values in sets:
        found = FeatureStatistics()
        found.update(values)
        moments += [found.mean, found.covariance(ddof=1)]
    return frechet_distance(*moments)


class Flat(torch.nn.Module):
    """Take pictures for their own features."""

    def forward(self, pictures):
        return pictures.flatten(1)


@pytest.mark.parametrize("n", [4 * D, 40 * D])
def test_frechet_distance(n):
    real, made = features(n, "real"), features(n, "made", 0.3)
    ours = distance(real, made)
    theirs = [fid_features_to_statistics(values) for values in (real, made)]
    found = fid_statistics_to_metric(*theirs, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(found, rel=1e-6)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = FrechetInceptionDistance(Flat(), input_img_size=(3, 4, 4)).set_dtype(torch.float64)
    for values, is_real in ((real, True), (made, False)):
        metric.update(values.reshape(n, 3, 4, 4), real=is_real)
    assert metric.compute().item() == pytest.approx(distance(real, made), rel=1e-6)


@pytest.mark.parametrize("splits", [1, 5])
def test_inception_score(splits):
    logits = 2 * torch.randn(600, 7, generator=generator("logits"), dtype=torch.float64)
    parts = dealt_parts(0, 600, splits)
    dealt = torch.cat([logits[parts == k] for k in range(splits)])  # theirs takes consecutive parts
    found = isc_features_to_metric(dealt, splits=splits, shuffle=False)
    ours = inception_score(logits, splits)
    assert ours[0] == pytest.approx(found["inception_score_mean"], rel=1e-6)
    assert ours[1] == pytest.approx(found["inception_score_std"], rel=1e-6, abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # it shuffles, so only one part can be compared
        metric = InceptionScore(feature=torch.nn.Identity(), splits=1)
    metric.update(logits)
    assert metric.compute()[0].item() == pytest.approx(inception_score(logits, 1)[0], rel=1e-6)
