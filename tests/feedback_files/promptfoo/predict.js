// The model of predict.py for promptfoo: wrong on reviews 5 and 6; one call fails, so that the file has an error.
class Predict {
  id() {
    return 'predict.js';
  }

  async callApi(prompt, context) {
    const text = context.vars.text;
    if (text === 'Love it!') {
      return { error: '模型没有回答' };
    }
    const words = ['好', '态', 'Great', 'Love'];
    return { output: words.some((word) => text.includes(word)) ? 'positive' : 'negative' };
  }
}

module.exports = Predict;
