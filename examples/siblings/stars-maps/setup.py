from setuptools import find_namespace_packages, setup

setup(
    name="orq-example-stars-maps",
    version="0.4.0",
    package_dir={"": "src"},
    packages=find_namespace_packages("src"),
    # on no index: the component beside this one provides it
    install_requires=["orq-example-stars-core>=1"],
)
