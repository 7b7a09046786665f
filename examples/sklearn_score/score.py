"""Trains a small classifier on generated data and scores it on data that it has not seen."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score


@dataclass
class Score:
    """How well the classifier did."""

    accuracy: float
    trained_on: int
    tested_on: int


def train_and_score(points: int = 400, seed: int = 7) -> Score:
    """Two clouds of points, a line between them, and how many points are on their own side."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size=points)
    centres = np.array([[-1.0, 0.0], [1.0, 0.0]])
    samples = centres[labels] + random.normal(scale=1.0, size=(points, 2))

    half = points // 2
    model = LogisticRegression().fit(samples[:half], labels[:half])
    accuracy = accuracy_score(labels[half:], model.predict(samples[half:]))
    return Score(accuracy=round(float(accuracy), 2), trained_on=half, tested_on=points - half)
