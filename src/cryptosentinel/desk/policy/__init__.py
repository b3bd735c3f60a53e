"""The offline model of each agent: a program that reads its context as a model does, and is misled as a model is.

Each policy is a function from the messages so far to the next one. It knows what its instructions, its task and its
tools' results say, and nothing else: no clock, no market, no memory of its own. Its weakness is stated in `commands`.
"""
