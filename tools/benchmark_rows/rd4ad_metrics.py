"""RD4AD's localisation metrics, reimplemented from their description, to be timed.

Slow on purpose, as that procedure is: pixels go through Python lists, and at each of 200 thresholds
a mask's regions are labelled anew. RD4AD labels with scikit-image and collects rows in a pandas
table; here it is scipy and a list, which is if anything faster.

Source: Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", CVPR
2022, the public evaluation code.
"""

import numpy as np
from scipy import ndimage
from sklearn.metrics import auc, roc_auc_score

NUM_THRESHOLDS = 200
EIGHT_CONNECTED = np.ones((3, 3), bool)


def pixel_auroc(maps: np.ndarray, masks: np.ndarray) -> float:
    """Area under the ROC curve of all pixels, gathered image by image in two lists.

    Args:
        maps: [N, H, W].
        masks: [N, H, W], bool.
    """
    labels, scores = [], []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        labels.extend(mask.astype(int).ravel())
        scores.extend(anomaly_map.ravel())
    return float(roc_auc_score(labels, scores))


def mean_pro(maps: np.ndarray, masks: np.ndarray) -> float:
    """Mean of `image_pro` over the images with a defective pixel. Arguments as `pixel_auroc`."""
    return float(
        np.mean([image_pro(maps[i], masks[i]) for i in range(len(maps)) if masks[i].any()])
    )


def image_pro(anomaly_map: np.ndarray, mask: np.ndarray) -> float:
    """Area under mean region overlap against false positive rate, of one image by itself.

    The thresholds are 200 equal steps over the map's range. The rows with FPR below 0.3 are taken,
    and their FPR is divided by the largest among them. The map must not be constant.

    Args:
        anomaly_map: [H, W].
        mask: [H, W], bool, with defective and defect-free pixels.
    """
    low, high = anomaly_map.min(), anomaly_map.max()
    rows = []
    for threshold in np.arange(low, high, (high - low) / NUM_THRESHOLDS):
        found = anomaly_map > threshold
        false = np.logical_and(~mask, found).sum()
        rows.append({"pro": np.mean(overlaps(found, mask)), "fpr": false / (~mask).sum()})
    rows = [row for row in rows if row["fpr"] < 0.3]
    largest = max(row["fpr"] for row in rows)
    return float(auc([row["fpr"] / largest for row in rows], [row["pro"] for row in rows]))


def overlaps(found: np.ndarray, mask: np.ndarray) -> list[float]:
    """Returns the fraction of each 8-connected region of `mask` that is found; both bool [H, W]."""
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, structure=EIGHT_CONNECTED, output=labels)
    shares = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = np.nonzero(labels[box] == number)
        rows, columns = rows + box[0].start, columns + box[1].start
        shares.append(found[rows, columns].sum() / len(rows))
    return shares
