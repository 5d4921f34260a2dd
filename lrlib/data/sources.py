"""Where the data sets that are not installed come from: files, digests and public mirrors.

SHA-256 is of the decompressed bytes, since mirrors compress differently; data/README.md says where each is from.
"""

from dataclasses import dataclass

from lrlib.data.idx import IdxFile


@dataclass(frozen=True)
class Source:
    """A data set of IDX files: for each split its images (n, h, w) and labels (n,), and who serves them.

    ``mirrors`` are addresses that end in ``/`` and serve every file as ``<name>.gz``; they are tried in order.
    ``classes`` names the labels 0, 1, ...
    """

    name: str
    mirrors: tuple[str, ...]
    splits: dict[str, tuple[IdxFile, IdxFile]]
    classes: tuple[str, ...]

    @property
    def files(self) -> tuple[IdxFile, ...]:
        """Return all files, split by split."""
        return tuple(file for pair in self.splits.values() for file in pair)


DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _mnist_like(
    name: str, mirrors: tuple[str, ...], classes: tuple[str, ...], digests: tuple[str, ...]
) -> Source:
    """Return a source with MNIST's four files; ``digests`` in the order train images, labels, test images, labels."""
    splits = {
        "train": (
            IdxFile("train-images-idx3-ubyte", (60_000, 28, 28), digests[0]),
            IdxFile("train-labels-idx1-ubyte", (60_000,), digests[1]),
        ),
        "test": (
            IdxFile("t10k-images-idx3-ubyte", (10_000, 28, 28), digests[2]),
            IdxFile("t10k-labels-idx1-ubyte", (10_000,), digests[3]),
        ),
    }
    return Source(name, mirrors, splits, classes)


SOURCES = {
    "mnist": _mnist_like(
        "mnist",
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        DIGITS,
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion-mnist": _mnist_like(
        "fashion-mnist",
        (
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # the authors' own; it has no https
        ),
        FASHION,
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}
